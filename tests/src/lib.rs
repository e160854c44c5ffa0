//! Harness for tests on real programs.
