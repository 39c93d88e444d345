"""A Java program that puts Curator's recipes to work; test_curator.py compiles and runs it."""
