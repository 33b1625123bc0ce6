//! Tests of adversarial memory.
