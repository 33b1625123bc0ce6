//! Tests of the construction.
