//! Broken modules, each made from a golden one by one change, are refused.

use super::check;

const GOOD: &str = include_str!("../../../../tests/npu/operations.aie");

#[test]
fn the_golden_module_is_accepted() {
    check(GOOD).unwrap();
}

/// What is replaced (its first place), by what, and a part of the message.
const BROKEN: &[(&str, &str, &str)] = &[
    ("aie.device(npu2)", "aie.device(npu9)", "not npu2"),
    ("%tile_0_3 = aie.tile(0, 3)", "%tile_0_3 = aie.tile(0, 9)", "6 rows"),
    ("%tile_0_3 = aie.tile(0, 3)", "%tile_0_3 = aie.tile(9, 3)", "8 columns"),
    ("%tile_0_3 = aie.tile(0, 3)", "%tile_0_3 = aie.tile(1, 3)", "tile"),
    ("= aie.core(%tile_0_3)", "= aie.core(%tile_0_0)", "no core on this tile"),
    ("arith.addi", "arith.addq", "not known"),
    ("arith.addi", "arith.addf", "not for"),
    ("aie.objectfifo.acquire", "aie.objectfifo.take", "not known"),
    ("(Consume, 1) : !aie", "(Produce, 1) : !aie", "another tile"),
    ("!aie.objectfifo<memref<16xi32>>", "!aie.objectfifo<memref<17xi32>>", "objects of"),
    ("!aie.objectfifo<memref<16xi32>>", "!aie.objectfifo<memref<?xi32>>", "static size"),
    ("[1, 1, 1, 16]", "[1, 1, 1, 8]", "whole object"),
    ("      aiex.npu.dma_wait", "      aiex.npu.dma_hope", "not known"),
    ("id = 1 : i64", "id = 0 : i64", "number of its own"),
    ("stack_size = 1", "stack_size = 65536", "memory of the core"),
    ("%one = arith.constant 1 : index", "%one = arith.constant 1 : i32", "not index"),
    ("        aie.objectfifo.release @a(", "        aie.objectfifo.acquire @a(", ""),
    ("memref.store", "memref.load", "operands"),
    ("arith.cmpi ult", "arith.cmpi less", "predicate"),
    ("scf.yield", "scf.yield %zero : index //", ""),
];

#[test]
fn broken_modules_are_refused() {
    for (from, to, why) in BROKEN {
        assert!(GOOD.contains(from), "`{from}` is not in the golden module");
        let text = GOOD.replacen(from, to, 1);
        match check(&text) {
            Ok(()) => panic!("`{from}` as `{to}` is accepted"),
            Err(what) => assert!(what.contains(why), "`{to}`: {what}"),
        }
    }
}

/// A line of array operations that is missing is missed.
#[test]
fn no_line_of_the_array_can_be_left_out() {
    for (number, line) in GOOD.lines().enumerate() {
        let line = line.trim();
        let array =
            line.contains("aie.objectfifo") || line.starts_with("aiex.") || line.contains("aie.tile(");
        if array {
            let text: Vec<&str> =
                GOOD.lines().enumerate().filter(|(n, _)| *n != number).map(|(_, l)| l).collect();
            assert!(check(&text.join("\n")).is_err(), "without line {}: `{line}`", number + 1);
        }
    }
}
