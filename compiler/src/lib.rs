//! clefc
