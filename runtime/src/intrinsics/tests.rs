//! The C functions on objects as compiled programs make them.

use super::{convert, elements, new_array, strings, text};
use crate::abi::{Format, Sequence};
use crate::start::new_string;
use std::ptr;

fn s(text: &str) -> *mut Sequence {
    new_string(text.as_bytes())
}

/// The text of an object that a function gave, which is counted once and ends with a NUL.
fn shown(object: *mut Sequence) -> String {
    // SAFETY: every function here gives a string object.
    unsafe {
        assert_eq!((*object).header.count, 1);
        let end = object.add(1).cast::<u8>().add((*object).len as usize);
        assert_eq!(*end, 0);
        text(object).into_owned()
    }
}

#[test]
fn strings_are_cut_and_joined() {
    // SAFETY: all arguments are objects of the right kind.
    unsafe {
        assert_eq!(shown(strings::clef_string_sub(s("abcd"), 1, 2, ptr::null())), "bc");
        assert_eq!(strings::clef_string_index_of(s("abab"), s("b"), 2), 3);
        assert_eq!(strings::clef_string_index_of(s("abab"), s("x"), 0), -1);
        let parts: [*const Sequence; 3] = [s("a"), s(""), s("c")];
        assert_eq!(shown(strings::clef_concat(3, parts.as_ptr())), "ac");
        assert_eq!(shown(strings::clef_string_join(s(", "), new_array(&parts))), "a, , c");
        assert_eq!(shown(strings::clef_string_join(s(", "), new_array::<*const Sequence>(&[]))), "");
        assert_eq!(shown(strings::clef_string_trim(s(" a "), 3, s(""))), "a");
        assert_eq!(shown(strings::clef_string_pad_left(s("7"), 3, u32::from('0'))), "007");
        assert_eq!(shown(strings::clef_string_replace(s("aXbX"), s("X"), s("--"), ptr::null())), "a--b--");
    }
}

#[test]
fn strings_are_compared() {
    // SAFETY: as above.
    unsafe {
        assert!(strings::clef_string_eq(s("a"), s("a")));
        assert!(!strings::clef_string_eq(s("a"), s("ab")));
        assert_eq!(strings::clef_string_compare(s("a"), s("b")), -1);
        assert_eq!(strings::clef_string_compare(s("ab"), s("a")), 1);
        assert_eq!(strings::clef_string_hash(s("x")), strings::clef_string_hash(s("x")));
        assert_ne!(strings::clef_string_hash(s("x")), strings::clef_string_hash(s("y")));
    }
}

#[test]
fn arrays_of_characters_and_bytes() {
    // SAFETY: as above.
    unsafe {
        let runes = strings::clef_string_runes(s("aé"));
        assert_eq!(elements::<u32>(runes), [97, 233]);
        assert_eq!(shown(strings::clef_string_of_chars(runes)), "aé");
        let bytes = strings::clef_string_to_bytes(s("é"));
        assert_eq!(elements::<u8>(bytes), [0xc3, 0xa9]);
        assert_eq!(shown(strings::clef_string_of_bytes(bytes)), "é");
    }
}

#[test]
fn numbers_from_and_to_text() {
    let format = |conversion: char, width, bits, flags| Format {
        conversion: u32::from(conversion),
        width,
        precision: -1,
        flags,
        bits,
        is_unsigned: 0,
        reserved: 0,
    };
    // SAFETY: as above.
    unsafe {
        assert_eq!(convert::clef_parse_int32(s("-12"), ptr::null()), -12);
        assert_eq!(convert::clef_parse_float64(s("2.5"), ptr::null()), 2.5);
        assert!(!convert::clef_parse_can_int(s("300"), 8));
        assert!(convert::clef_parse_can_int(s("-128"), -8));
        assert_eq!(shown(convert::clef_format_int(-5, &format('d', 4, 32, 2))), "-005");
        assert_eq!(shown(convert::clef_format_float(1.5, &format('O', 0, 64, 0))), "1.5");
        assert_eq!(shown(convert::clef_format_string(s("ab"), &format('s', 4, 0, 1))), "ab  ");
        assert_eq!(shown(convert::clef_format_bool(true, &format('b', 0, 8, 0))), "true");
        assert_eq!(shown(convert::clef_format_float_with(1.0, u32::from('f'), 2)), "1.00");
    }
}

/// Families and names that the compiler turns into instructions.
const COMPILED: &[&str] = &[
    "array.",
    "atomic.",
    "bits.",
    "buffer.",
    "core.",
    "default.",
    "hsa.",
    "kernel.",
    "nativeptr.",
    "subgroup.",
    "tile.",
    "workgroup.",
    "number.",
    "console.write",
    "console.error",
    "string.length",
];

/// All texts below a folder.
fn texts(folder: &std::path::Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, all);
        } else {
            all.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

#[test]
fn every_declared_intrinsic_is_here() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut library, mut functions) = (String::new(), String::new());
    texts(&root.join("../stdlib"), &mut library);
    texts(&root.join("src/intrinsics"), &mut functions);
    let names = library.split("[<Intrinsic(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let missing: Vec<&str> = names
        .filter(|name| !COMPILED.iter().any(|c| name.starts_with(c)))
        .filter(|name| {
            let symbol = format!("clef_{}", name.replace('.', "_"));
            !functions.contains(&format!("fn {symbol}(")) && !functions.contains(&format!("{symbol}: "))
        })
        .collect();
    assert!(missing.is_empty(), "declared in the library, but no function of the runtime: {missing:?}");
}
