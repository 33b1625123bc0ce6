//! clef-tests
