"""A Java program that puts Curator's recipes to work; ``tests/integration/test_curator.py`` compiles and runs it."""
