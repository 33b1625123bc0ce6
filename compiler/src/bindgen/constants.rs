//! Object-like macros with constant values: aliases of other macros, negative numbers, texts, casts of numbers to
//! addresses. Clang evaluates them: a second file includes the header and names each macro in a variable of its own.

use super::clang::{Clang, Constant, Cursor};
use super::model::Value;
use super::read::Reader;
use clang_sys as c;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

const VALUE: &str = "clefc_value_";
const TEXT: &str = "clefc_text_";
const ADDRESS: &str = "clefc_address_";

/// Adds the macros' constants to what was read; lists the others.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    clang: &Clang,
    root: Cursor<'_>,
    wanted: &dyn Fn(&str) -> bool,
    include: &str,
    args: &[String],
) -> Result<(), String> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for cursor in root.children().into_iter().filter(|c| c.kind() == c::CXCursor_MacroDefinition) {
        if !cursor.place().is_some_and(|(file, _)| wanted(&file)) {
            continue;
        }
        let name = cursor.name();
        if cursor.is_macro_function() {
            if seen.insert(name.clone()) {
                reader.leave("macro", &name, "takes arguments");
            }
        } else if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    let values = evaluate(clang, &names, include, args)?;
    for name in names {
        match values.get(&name) {
            Some(value) => reader.constant(name, value.clone(), Vec::new()),
            None => reader.leave("macro", &name, "is no constant number or text"),
        }
    }
    Ok(())
}

fn evaluate(
    clang: &Clang,
    names: &[String],
    include: &str,
    args: &[String],
) -> Result<HashMap<String, Value>, String> {
    let mut text = include.to_owned();
    for (i, name) in names.iter().enumerate() {
        // One line each: what is no expression spoils its own line only.
        let _ = writeln!(text, "static const __auto_type {VALUE}{i} = ({name});");
        let _ = writeln!(text, "static const char *const {TEXT}{i} = {name};");
        let _ =
            writeln!(text, "static const unsigned long long {ADDRESS}{i} = (unsigned long long)({name});");
    }
    let unit = clang.parse("clefc-bindgen-macros.c", &text, args)?;
    let mut values = HashMap::new();
    for cursor in unit.root().children().into_iter().filter(|c| c.kind() == c::CXCursor_VarDecl) {
        let variable = cursor.name();
        let name = |prefix: &str| names.get(variable.strip_prefix(prefix)?.parse::<usize>().ok()?);
        if let Some(name) = name(VALUE) {
            if let Some(value) = value_of(cursor) {
                values.insert(name.clone(), value);
            }
        } else if let Some(name) = name(TEXT) {
            if let Some(Constant::Text(text)) = cursor.evaluate() {
                values.insert(name.clone(), Value::Text(text));
            }
        } else if let Some(name) = name(ADDRESS) {
            // Comes after the value: only where that is an address.
            let number = match cursor.evaluate() {
                Some(Constant::Int(n)) => n,
                Some(Constant::UInt(n)) => n as i64,
                _ => continue,
            };
            values.entry(name.clone()).or_insert(Value::Address(number));
        }
    }
    Ok(values)
}

/// The value of a constant variable.
pub(super) fn value_of(cursor: Cursor<'_>) -> Option<Value> {
    let ty = cursor.ty().canonical();
    let value = cursor.evaluate()?;
    let suffix = match ty.kind() {
        c::CXType_Bool
        | c::CXType_Char_S
        | c::CXType_Char_U
        | c::CXType_SChar
        | c::CXType_UChar
        | c::CXType_Short
        | c::CXType_UShort
        | c::CXType_Int
        | c::CXType_WChar => "",
        c::CXType_UInt => "u",
        c::CXType_Enum => match ty.declaration().enum_integer().canonical().kind() {
            c::CXType_UInt => "u",
            c::CXType_ULong | c::CXType_ULongLong => "UL",
            c::CXType_Long | c::CXType_LongLong => "L",
            _ => "",
        },
        c::CXType_Long | c::CXType_LongLong => "L",
        c::CXType_ULong | c::CXType_ULongLong => "UL",
        c::CXType_Float | c::CXType_Double => {
            let suffix = if ty.kind() == c::CXType_Float { "f" } else { "" };
            return match value {
                Constant::Float(f) if f.is_finite() => Some(Value::Float(f, suffix)),
                _ => None,
            };
        }
        // A text, as an array or as the address of one.
        c::CXType_Pointer | c::CXType_ConstantArray => match value {
            Constant::Text(text) => return Some(Value::Text(text)),
            _ => return None,
        },
        _ => return None,
    };
    match value {
        Constant::Int(n) => Some(Value::Int(in_range(i128::from(n), suffix), suffix)),
        Constant::UInt(n) => Some(Value::Int(in_range(i128::from(n), suffix), suffix)),
        _ => None,
    }
}

/// The value of a nameless enum's constant, by the integer that the enum is.
pub(super) fn enum_constant(value: i64, narrow: bool, unsigned: bool) -> Value {
    let suffix = match (narrow, unsigned) {
        (true, true) if value > i64::from(i32::MAX) => "u",
        (true, _) => "",
        (false, true) => "UL",
        (false, false) => "L",
    };
    Value::Int(in_range(i128::from(value), suffix), suffix)
}

/// The number that the literal's type has for these bits.
fn in_range(value: i128, suffix: &str) -> i128 {
    match suffix {
        "u" => i128::from(value as u32),
        "UL" => i128::from(value as u64),
        "L" => i128::from(value as i64),
        _ => i128::from(value as i32),
    }
}
