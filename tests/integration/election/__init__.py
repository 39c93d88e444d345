"""A Java program that stands in an election as Clojure servers do; test_election.py compiles and runs it."""
