//! Known outputs, and C's own `printf` over random values.

use super::parse;
use super::strings;
use super::{Spec, Value, float, format};

fn spec(text: &str) -> Spec {
    let body = text.strip_prefix('%').expect("a format");
    let flags: String = body.chars().take_while(|c| "-0+ ".contains(*c)).collect();
    let rest = &body[flags.len()..];
    let (number, conversion) = rest.split_at(rest.len() - 1);
    let (width, precision) = number.split_once('.').map_or((number, None), |(w, p)| (w, Some(p)));
    Spec {
        conversion: conversion.chars().next().expect("a conversion"),
        width: width.parse().unwrap_or(0),
        precision: precision.map(|p| p.parse().unwrap_or(0)),
        left: flags.contains('-'),
        zero: flags.contains('0'),
        plus: flags.contains('+'),
        space: flags.contains(' '),
    }
}

fn int(text: &str, value: i64) -> String {
    format(Value::Int { value, bits: 32, unsigned: false }, &spec(text))
}

fn real(text: &str, value: f64) -> String {
    format(Value::Float { value, bits: 64 }, &spec(text))
}

#[test]
fn integers() {
    assert_eq!(int("%d", -42), "-42");
    assert_eq!(int("%5d", 42), "   42");
    assert_eq!(int("%-5d", 42), "42   ");
    assert_eq!(int("%05d", -42), "-0042");
    assert_eq!(int("%+d", 42), "+42");
    assert_eq!(int("% d", 42), " 42");
    assert_eq!(int("%x", -1), "ffffffff");
    assert_eq!(int("%X", 255), "FF");
    assert_eq!(int("%08x", 255), "000000ff");
    assert_eq!(int("%o", 8), "10");
    assert_eq!(int("%B", 5), "101");
    assert_eq!(int("%u", -1), "4294967295");
    assert_eq!(int("%A", 7), "7");
    assert_eq!(format(Value::Int { value: -1, bits: 8, unsigned: true }, &Spec::plain('d')), "255");
    assert_eq!(
        format(Value::Int { value: i64::MIN, bits: 64, unsigned: false }, &Spec::plain('d')),
        i64::MIN.to_string()
    );
    assert_eq!(
        format(Value::Int { value: -1, bits: 64, unsigned: true }, &Spec::plain('A')),
        "18446744073709551615UL"
    );
}

#[test]
fn floats_as_c() {
    assert_eq!(real("%f", 1.5), "1.500000");
    assert_eq!(real("%.0f", 0.5), "0");
    assert_eq!(real("%.0f", 1.5), "2");
    assert_eq!(real("%.0f", 2.5), "2");
    assert_eq!(real("%.2f", 2.675), "2.67");
    assert_eq!(real("%8.3f", -1.0), "  -1.000");
    assert_eq!(real("%08.3f", -1.0), "-001.000");
    assert_eq!(real("%e", 12345.678), "1.234568e+04");
    assert_eq!(real("%g", 0.0001), "0.0001");
    assert_eq!(real("%g", 1e10), "1e+10");
    assert_eq!(real("%g", 100000.0), "100000");
    assert_eq!(real("%g", 0.1 + 0.2), "0.3");
    assert_eq!(real("%G", 1e-10), "1E-10");
    assert_eq!(real("%f", f64::INFINITY), "Infinity");
    assert_eq!(real("%010.2f", f64::NEG_INFINITY), " -Infinity");
    assert_eq!(real("%.3f", f64::NAN), "NaN");
}

#[test]
fn shortest_as_dotnet() {
    let cases: &[(f64, &str)] = &[
        (1.0, "1"),
        (1.5, "1.5"),
        (-0.0, "-0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e14, "100000000000000"),
        (1e15, "1E+15"),
        (1e16, "1E+16"),
        (1234567890123456.0, "1234567890123456"),
        (123456789012345680.0, "1.2345678901234568E+17"),
        (0.0001, "0.0001"),
        (0.00001, "1E-05"),
        (1.5e-7, "1.5E-07"),
        (1e100, "1E+100"),
        (5e-324, "5E-324"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for (value, text) in cases {
        assert_eq!(float::shortest(*value, 64), *text);
    }
    assert_eq!(float::shortest(f64::from(0.1_f32), 32), "0.1");
    assert_eq!(float::shortest(f64::from(16777216.0_f32), 32), "16777216");
    assert_eq!(float::shortest(f64::from(1e7_f32), 32), "1E+07");
    assert_eq!(float::shortest(f64::from(0.333_333_34_f32), 32), "0.33333334");
}

#[test]
fn any_value() {
    assert_eq!(real("%A", 1.0), "1.0");
    assert_eq!(real("%A", std::f64::consts::PI), "3.141592654");
    assert_eq!(real("%A", 1e16), "1e+16");
    assert_eq!(real("%A", f64::INFINITY), "infinity");
    assert_eq!(format(Value::Float { value: 1.5, bits: 32 }, &Spec::plain('A')), "1.5f");
    assert_eq!(format(Value::Char('x'), &Spec::plain('A')), "'x'");
    assert_eq!(format(Value::String("a"), &Spec::plain('A')), "\"a\"");
    assert_eq!(format(Value::Bool(true), &spec("%6b")), "  true");
    assert_eq!(format(Value::String("é"), &spec("%-3s")), "é  ");
}

#[test]
fn parses_integers() {
    assert_eq!(parse::int(" -12 ", 32, false), Ok(-12));
    assert_eq!(parse::int("0xFFFFFFFF", 32, false), Ok(-1));
    assert_eq!(parse::int("0b101", 8, true), Ok(5));
    assert_eq!(parse::int("-2147483648", 32, false), Ok(i64::from(i32::MIN)));
    assert_eq!(parse::int("18446744073709551615", 64, true), Ok(-1));
    for bad in ["", "-", "1 2", "x", "1.5", "0x", "--1", "+-1", "0x+1", "1_000"] {
        let text = parse::int(bad, 32, false).expect_err(bad).to_string();
        assert!(text.contains("is not a number of type int"), "{text}");
    }
    for (large, bits, unsigned) in
        [("2147483648", 32, false), ("-2147483649", 32, false), ("256", 8, true), ("-1", 8, true)]
    {
        let text = parse::int(large, bits, unsigned).expect_err(large).to_string();
        assert!(text.contains("outside the range"), "{text}");
    }
    assert!(parse::int(&"9".repeat(60), 64, false).is_err());
}

#[test]
fn parses_floats() {
    assert_eq!(parse::float(" 1.5e3 "), Ok(1500.0));
    assert_eq!(parse::float(".5"), Ok(0.5));
    assert_eq!(parse::float("-Infinity"), Ok(f64::NEG_INFINITY));
    assert!(parse::float("NaN").is_ok_and(f64::is_nan));
    for bad in ["", "inf", "1,5", "e5", "1e", "0x10", "nanx"] {
        assert!(parse::float(bad).is_err(), "{bad}");
    }
    // Rounded once: through f64 this would be another number.
    assert_eq!(parse::float32("0.50000002980232238769531251"), Ok(0.500_000_06));
}

#[test]
fn string_operations() {
    assert_eq!(strings::sub("abcd", 1, 2), Ok("bc"));
    assert!(strings::sub("abcd", 3, 2).is_err_and(|e| e.contains("outside")));
    assert!(strings::sub("é", 1, 1).is_err_and(|e| e.contains("inside a character")));
    assert!(strings::sub("abc", -1, 1).is_err());
    assert_eq!(strings::index_of("abcabc", "c", 3), 5);
    assert_eq!(strings::index_of("abc", "", 3), 3);
    assert_eq!(strings::index_of("abc", "a", 4), -1);
    assert_eq!(strings::index_of("éa", "a", 1), 2);
    assert_eq!(strings::last_index_of("abcabc", "a"), 3);
    assert_eq!(strings::trim(" a ", 1, ""), "a ");
    assert_eq!(strings::trim("xxaxx", 3, "x"), "a");
    assert_eq!(strings::upper("aé1"), "AÉ1");
    assert_eq!(strings::upper("ß"), "ß");
    assert_eq!(strings::pad("7", 3, '0', true), "007");
    assert!(strings::repeat("ab", i32::MAX).is_err());
    assert!(strings::ascii_at("é", 0).is_err());
}

unsafe extern "C" {
    fn snprintf(buffer: *mut u8, size: usize, format: *const std::ffi::c_char, ...) -> i32;
}

fn c_text(format: &str, value: f64) -> String {
    let format = std::ffi::CString::new(format).expect("no NUL");
    let mut buffer = vec![0_u8; 2048];
    // SAFETY: the buffer is as long as said; the format takes one double.
    let n = unsafe { snprintf(buffer.as_mut_ptr(), buffer.len(), format.as_ptr(), value) };
    buffer.truncate(usize::try_from(n).expect("formatted"));
    String::from_utf8(buffer).expect("ASCII")
}

#[test]
fn floats_agree_with_c() {
    let formats = [
        "%f", "%.0f", "%.1f", "%.3f", "%.9f", "%.17f", "%12.4f", "%-12.2f", "%012.3f", "%+.2f", "% .2f",
        "%e", "%.0e", "%.3e", "%.12e", "%E", "%g", "%.0g", "%.3g", "%.17g", "%15.6g", "%G",
    ];
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut values =
        vec![0.0, -0.0, 0.5, 1.5, 2.5, 0.125, 0.375, 1e22, 1e23, 5e-324, f64::MAX, 0.1, 9.5, 99.5, 999999.5];
    for _ in 0..2000 {
        values.push(f64::from_bits(next()));
        values.push((next() >> 40) as f64 / 64.0);
        values.push((next() as i32) as f64 / 1000.0);
    }
    for value in values.into_iter().filter(|v| v.is_finite()) {
        for f in formats {
            assert_eq!(real(f, value), c_text(f, value), "{f} of {value:e}");
        }
    }
}

#[test]
fn shortest_reads_back() {
    let mut bits = 0x3ff0_1234_5678_9abc_u64;
    for _ in 0..5000 {
        bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let value = f64::from_bits(bits);
        if value.is_finite() {
            assert_eq!(parse::float(&float::shortest(value, 64)).map(f64::to_bits), Ok(value.to_bits()));
            let single = value as f32;
            if single.is_finite() {
                let text = float::shortest(f64::from(single), 32);
                assert_eq!(parse::float32(&text).map(f32::to_bits), Ok(single.to_bits()));
            }
        }
    }
}
