//! The text form of skeletons: what it reads and what it refuses. Extraction from graphs is tested through programs.

use super::{Step, dsl};

#[test]
fn text_becomes_a_tree() {
    let s = dsl::parse("GPU1 r a w b; loop { CPU w a }; if { NPU r b }").expect("a litmus text");
    assert_eq!((s.sites.len(), s.accesses.len(), s.locations.len(), s.contexts.len()), (3, 4, 2, 3));
    assert!(matches!(s.body[..], [Step::Event { .. }, Step::Loop { .. }, Step::Branch(_)]));
    assert!(s.accesses[1].covers && !s.accesses[2].covers);
    assert_eq!(s.events(), 3);
}

#[test]
fn malformed_text_is_refused() {
    for text in ["GPUx w a", "DSP w a", "loop { CPU r a", "CPU r a }", "GPU w"] {
        assert!(dsl::parse(text).is_err(), "{text}");
    }
}
