//! The library's intrinsics for the interpreter: the same functions of `clef_runtime::text` that compiled programs
//! call, on plain data.
//!
//! [`call`] takes the interpreter's values, [`run`] works on [`Datum`]s. Whatever touches the world goes through [`World`]; this
//! module reads and writes nothing. Operations with a form of their own in the graph (see [`crate::intrinsics`]) never
//! get here, nor do those on raw memory (`nativeptr.*`), which the interpreter refuses.

use super::value::Value;
use clef_runtime::text::{self, parse, strings};
use std::rc::Rc;

/// A value as an intrinsic sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Unit,
    Bool(bool),
    Char(char),
    /// Any integer: the bits, sign-extended from the type's width.
    Int(i64),
    /// A float, widened to 64 bits.
    Float(f64),
    Text(Rc<str>),
    /// `byte[]`
    Bytes(Vec<u8>),
    /// `char[]`
    Chars(Vec<char>),
    /// `string[]`
    Texts(Vec<Rc<str>>),
}

impl Datum {
    fn text(s: &str) -> Self {
        Self::Text(Rc::from(s))
    }

    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Unit => Self::Unit,
            Value::Bool(b) => Self::Bool(*b),
            Value::Char(c) => Self::Char(*c),
            Value::Int(i) => Self::Int(*i),
            Value::Float(f) => Self::Float(*f),
            Value::Text(s) => Self::Text(s.clone()),
            Value::Array(items) => return Self::of_array(&items.borrow()),
            Value::Agg(_) | Value::Closure(_) => return None,
        })
    }

    /// An array by its first element; an empty one is one of strings, which all operations take.
    fn of_array(items: &[Value]) -> Option<Self> {
        match items.first() {
            Some(Value::Int(_)) => Some(Self::Bytes(items.iter().map(|v| v.int() as u8).collect())),
            Some(Value::Char(_)) => Some(Self::Chars(
                items.iter().filter_map(|v| if let Value::Char(c) = v { Some(*c) } else { None }).collect(),
            )),
            Some(Value::Text(_)) | None => Some(Self::Texts(
                items
                    .iter()
                    .filter_map(|v| if let Value::Text(s) = v { Some(s.clone()) } else { None })
                    .collect(),
            )),
            Some(_) => None,
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Unit => Value::Unit,
            Self::Bool(b) => Value::Bool(b),
            Self::Char(c) => Value::Char(c),
            Self::Int(i) => Value::Int(i),
            Self::Float(f) => Value::Float(f),
            Self::Text(s) => Value::Text(s),
            Self::Bytes(bytes) => {
                Value::array(bytes.iter().map(|b| Value::Int(i64::from(*b as i8))).collect())
            }
            Self::Chars(chars) => Value::array(chars.into_iter().map(Value::Char).collect()),
            Self::Texts(texts) => Value::array(texts.into_iter().map(Value::Text).collect()),
        }
    }
}

/// Why an intrinsic gave no value.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// The program stops with this text at the place of the call.
    Message(String),
    /// The program ends.
    Exit(i32),
    /// There is no such intrinsic, or its operands are of other types.
    Unknown,
}

/// What programs can reach of the world outside.
pub trait World {
    /// The next line of standard input without its end.
    fn read_line(&mut self) -> Option<String>;
    /// The content of a file; the error is a text for the user.
    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String>;
    /// Writes or extends a file; the error is a text for the user.
    fn write_file(&mut self, path: &str, content: &[u8], append: bool) -> Result<(), String>;
    /// Whether there is a file or folder of that name.
    fn file_exists(&mut self, path: &str) -> bool;
    /// Nanoseconds since some moment.
    fn nanoseconds(&mut self) -> i64;
}

/// The line that `console.next` read; part of a run's state.
#[derive(Default, Debug)]
pub struct State {
    line: String,
}

/// Runs an intrinsic on the interpreter's values.
pub fn call(name: &str, args: &[Value], state: &mut State, world: &mut dyn World) -> Result<Value, Stop> {
    let args: Option<Vec<Datum>> = args.iter().map(Datum::of).collect();
    run(name, &args.ok_or(Stop::Unknown)?, state, world).map(Datum::into_value)
}

/// Runs an intrinsic.
pub fn run(name: &str, args: &[Datum], state: &mut State, world: &mut dyn World) -> Result<Datum, Stop> {
    let (family, operation) = name.split_once('.').unwrap_or((name, ""));
    match family {
        "string" => string(operation, args),
        "char" => character(operation, args),
        "parse" => number(operation, args),
        "bits" => bits(operation, args),
        "format" => match (operation, args) {
            ("float_with", [Datum::Float(value), Datum::Char(conversion), Datum::Int(digits)]) => {
                Ok(Datum::text(&text::float_with(*value, *conversion, int(*digits))))
            }
            _ => Err(Stop::Unknown),
        },
        "file" => file(operation, args, world),
        "console" | "clock" | "process" => system(name, args, state, world),
        _ => Err(Stop::Unknown),
    }
}

/// An `int` operand.
fn int(value: i64) -> i32 {
    value as i32
}

fn stop<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, Stop> {
    result.map_err(|e| Stop::Message(e.to_string()))
}

fn owned(s: &str) -> Result<Datum, Stop> {
    Ok(Datum::text(s))
}

fn string(operation: &str, args: &[Datum]) -> Result<Datum, Stop> {
    use Datum::{Bool, Bytes, Char, Chars, Int, Text, Texts};
    match (operation, args) {
        ("eq", [Text(a), Text(b)]) => Ok(Bool(a == b)),
        ("compare", [Text(a), Text(b)]) => Ok(Int(a.as_bytes().cmp(b.as_bytes()) as i64)),
        ("hash", [Text(s)]) => Ok(Int(i64::from(strings::hash(s.as_bytes())))),
        ("sub", [Text(s), Int(start), Int(count)]) => owned(stop(strings::sub(s, int(*start), int(*count)))?),
        ("index_of", [Text(s), Text(part), Int(from)]) => {
            Ok(Int(strings::index_of(s, part, int(*from)).into()))
        }
        ("last_index_of", [Text(s), Text(part)]) => Ok(Int(strings::last_index_of(s, part).into())),
        ("starts_with", [Text(s), Text(part)]) => Ok(Bool(s.starts_with(&**part))),
        ("ends_with", [Text(s), Text(part)]) => Ok(Bool(s.ends_with(&**part))),
        ("trim", [Text(s), Int(ends), Text(chars)]) => owned(strings::trim(s, int(*ends), chars)),
        ("to_upper", [Text(s)]) => owned(&strings::upper(s)),
        ("to_lower", [Text(s)]) => owned(&strings::lower(s)),
        ("replace", [Text(s), Text(old), Text(fresh)]) => owned(&stop(strings::replace(s, old, fresh))?),
        ("repeat", [Text(s), Int(count)]) => owned(&stop(strings::repeat(s, int(*count)))?),
        ("join", [Text(separator), Texts(parts)]) => owned(&parts.join(&**separator)),
        ("of_chars", [Chars(chars)]) => owned(&chars.iter().collect::<String>()),
        ("of_chars" | "of_bytes", [Texts(none)]) if none.is_empty() => owned(""),
        ("runes", [Text(s)]) => Ok(Chars(s.chars().collect())),
        ("to_bytes", [Text(s)]) => Ok(Bytes(s.as_bytes().to_vec())),
        ("of_bytes", [Bytes(bytes)]) => owned(&String::from_utf8_lossy(bytes)),
        ("byte", [Text(s), Int(index)]) => Ok(Int(stop(strings::byte(s, int(*index)))?.into())),
        ("pad_left", [Text(s), Int(width), Char(fill)]) => owned(&strings::pad(s, int(*width), *fill, true)),
        ("pad_right", [Text(s), Int(width), Char(fill)]) => {
            owned(&strings::pad(s, int(*width), *fill, false))
        }
        _ => Err(Stop::Unknown),
    }
}

fn character(operation: &str, args: &[Datum]) -> Result<Datum, Stop> {
    let [Datum::Char(c)] = args else { return Err(Stop::Unknown) };
    match operation {
        "is_letter" => Ok(Datum::Bool(c.is_alphabetic())),
        "is_upper" => Ok(Datum::Bool(c.is_uppercase())),
        "is_lower" => Ok(Datum::Bool(c.is_lowercase())),
        "is_white_space" => Ok(Datum::Bool(c.is_whitespace())),
        "to_upper" => Ok(Datum::Char(strings::upper_char(*c))),
        "to_lower" => Ok(Datum::Char(strings::lower_char(*c))),
        _ => Err(Stop::Unknown),
    }
}

fn number(operation: &str, args: &[Datum]) -> Result<Datum, Stop> {
    let (s, bits) = match args {
        [Datum::Text(s)] => (s, 0),
        [Datum::Text(s), Datum::Int(bits)] => (s, int(*bits)),
        _ => return Err(Stop::Unknown),
    };
    let integer = |bits: u8, unsigned| {
        let value = stop(parse::int(s, bits, unsigned))?;
        let unused = 64 - u32::from(bits);
        Ok(Datum::Int((value << unused) >> unused))
    };
    match operation {
        "int8" => integer(8, false),
        "uint8" => integer(8, true),
        "int16" => integer(16, false),
        "uint16" => integer(16, true),
        "int32" => integer(32, false),
        "uint32" => integer(32, true),
        "int64" => integer(64, false),
        "uint64" => integer(64, true),
        "float64" => Ok(Datum::Float(stop(parse::float(s))?)),
        "float32" => Ok(Datum::Float(stop(parse::float32(s))?.into())),
        "can_int" => Ok(Datum::Bool(parse::can_int(s, bits))),
        "can_float" => Ok(Datum::Bool(parse::float(s).is_ok())),
        _ => Err(Stop::Unknown),
    }
}

fn bits(operation: &str, args: &[Datum]) -> Result<Datum, Stop> {
    use Datum::{Float, Int};
    match (operation, args) {
        ("pop_count", [Int(x)]) => Ok(Int(x.count_ones().into())),
        ("leading_zeros", [Int(x)]) => Ok(Int(x.leading_zeros().into())),
        ("trailing_zeros", [Int(x)]) => Ok(Int(x.trailing_zeros().into())),
        ("of_float64", [Float(x)]) => Ok(Int(x.to_bits() as i64)),
        ("to_float64", [Int(x)]) => Ok(Float(f64::from_bits(*x as u64))),
        ("of_float32", [Float(x)]) => Ok(Int(i64::from((*x as f32).to_bits() as i32))),
        ("to_float32", [Int(x)]) => Ok(Float(f32::from_bits(*x as u32).into())),
        _ => Err(Stop::Unknown),
    }
}

fn file(operation: &str, args: &[Datum], world: &mut dyn World) -> Result<Datum, Stop> {
    let (Some(Datum::Text(path)), content) = (args.first(), args.get(1)) else { return Err(Stop::Unknown) };
    let mut write = |bytes: &[u8], append| {
        let result = world.write_file(path, bytes, append);
        stop(result.map_err(|e| format!("cannot write the file \"{path}\": {e}"))).map(|()| Datum::Unit)
    };
    match (operation, content) {
        ("write_text", Some(Datum::Text(s))) => return write(s.as_bytes(), false),
        ("append_text", Some(Datum::Text(s))) => return write(s.as_bytes(), true),
        ("write_bytes", Some(Datum::Bytes(b))) => return write(b, false),
        ("write_bytes", Some(Datum::Texts(none))) if none.is_empty() => return write(&[], false),
        ("exists", None) => return Ok(Datum::Bool(world.file_exists(path))),
        ("can_read", None) => return Ok(Datum::Bool(world.read_file(path).is_ok())),
        ("read_text" | "read_bytes", None) => {}
        _ => return Err(Stop::Unknown),
    }
    let content = world.read_file(path).map_err(|e| format!("cannot read the file \"{path}\": {e}"));
    let content = stop(content)?;
    if operation == "read_bytes" {
        Ok(Datum::Bytes(content))
    } else {
        owned(&String::from_utf8_lossy(&content))
    }
}

fn system(name: &str, args: &[Datum], state: &mut State, world: &mut dyn World) -> Result<Datum, Stop> {
    match (name, args) {
        ("console.next", []) => {
            let line = world.read_line();
            let read = line.is_some();
            state.line = line.unwrap_or_default();
            Ok(Datum::Bool(read))
        }
        ("console.line", []) => owned(&state.line),
        ("clock.nanoseconds", []) => Ok(Datum::Int(world.nanoseconds())),
        ("process.exit", [Datum::Int(code)]) => Err(Stop::Exit(int(*code))),
        _ => Err(Stop::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::Datum::{Bool, Bytes, Char, Chars, Float, Int, Texts, Unit};
    use super::*;

    /// One line of input, one file.
    #[derive(Default)]
    struct Small {
        lines: Vec<String>,
        file: Option<Vec<u8>>,
    }

    impl World for Small {
        fn read_line(&mut self) -> Option<String> {
            self.lines.pop()
        }
        fn read_file(&mut self, _: &str) -> Result<Vec<u8>, String> {
            self.file.clone().ok_or_else(|| "there is none".to_owned())
        }
        fn write_file(&mut self, _: &str, content: &[u8], append: bool) -> Result<(), String> {
            let old = if append { self.file.take().unwrap_or_default() } else { Vec::new() };
            self.file = Some([&old, content].concat());
            Ok(())
        }
        fn file_exists(&mut self, _: &str) -> bool {
            self.file.is_some()
        }
        fn nanoseconds(&mut self) -> i64 {
            7
        }
    }

    fn run(name: &str, args: &[Datum]) -> Result<Datum, Stop> {
        super::run(name, args, &mut State::default(), &mut Small::default())
    }

    fn text(s: &str) -> Datum {
        Datum::text(s)
    }

    #[test]
    fn values_of_the_interpreter() {
        let call =
            |name: &str, args: &[Value]| call(name, args, &mut State::default(), &mut Small::default());
        let bytes = call("string.to_bytes", &[Value::text("é")]).expect("bytes");
        assert!(matches!(&bytes, Value::Array(b) if b.borrow()[0].int() == i64::from(0xc3_u8 as i8)));
        assert!(matches!(call("string.of_bytes", &[bytes]), Ok(Value::Text(s)) if &*s == "é"));
        assert!(
            matches!(call("string.of_bytes", &[Value::array(vec![])]), Ok(Value::Text(s)) if s.is_empty())
        );
        assert!(
            matches!(call("string.join", &[Value::text(","), Value::array(vec![])]), Ok(Value::Text(s)) if s.is_empty())
        );
        assert!(matches!(call("string.to_upper", &[Value::agg(0, vec![])]), Err(Stop::Unknown)));
    }

    #[test]
    fn pure_ones() {
        assert_eq!(run("string.sub", &[text("abcd"), Int(1), Int(2)]), Ok(text("bc")));
        assert_eq!(run("string.join", &[text(","), Texts(vec!["a".into(), "b".into()])]), Ok(text("a,b")));
        assert_eq!(run("string.compare", &[text("a"), text("b")]), Ok(Int(-1)));
        assert_eq!(run("string.runes", &[text("é")]), Ok(Chars(vec!['é'])));
        assert_eq!(run("string.of_bytes", &[Bytes(vec![0xff, 65])]), Ok(text("\u{fffd}A")));
        assert_eq!(run("char.to_upper", &[Char('a')]), Ok(Char('A')));
        assert_eq!(run("parse.uint8", &[text("255")]), Ok(Int(-1)));
        assert_eq!(run("parse.uint64", &[text("0xFFFFFFFFFFFFFFFF")]), Ok(Int(-1)));
        assert_eq!(run("parse.can_int", &[text("128"), Int(-8)]), Ok(Bool(false)));
        assert_eq!(run("bits.of_float32", &[Float(-0.0)]), Ok(Int(i64::from(i32::MIN))));
        assert_eq!(run("format.float_with", &[Float(1.0), Char('f'), Int(2)]), Ok(text("1.00")));
    }

    #[test]
    fn what_stops() {
        assert!(
            matches!(run("parse.int32", &[text("x")]), Err(Stop::Message(m)) if m.contains("not a number"))
        );
        assert!(matches!(run("string.sub", &[text("a"), Int(0), Int(2)]), Err(Stop::Message(_))));
        assert!(
            matches!(run("file.read_text", &[text("f")]), Err(Stop::Message(m)) if m.contains("cannot read"))
        );
        assert_eq!(run("process.exit", &[Int(3)]), Err(Stop::Exit(3)));
        assert_eq!(run("string.sub", &[Int(1)]), Err(Stop::Unknown));
        assert_eq!(run("my.own", &[]), Err(Stop::Unknown));
    }

    #[test]
    fn the_world() {
        let (mut state, mut world) = (State::default(), Small { lines: vec!["one".into()], file: None });
        let mut run = |name: &str, args: &[Datum]| super::run(name, args, &mut state, &mut world);
        assert_eq!(run("console.next", &[]), Ok(Bool(true)));
        assert_eq!(run("console.line", &[]), Ok(text("one")));
        assert_eq!(run("console.next", &[]), Ok(Bool(false)));
        assert_eq!(run("console.line", &[]), Ok(text("")));
        assert_eq!(run("file.write_text", &[text("f"), text("a")]), Ok(Unit));
        assert_eq!(run("file.append_text", &[text("f"), text("b")]), Ok(Unit));
        assert_eq!(run("file.read_bytes", &[text("f")]), Ok(Bytes(vec![97, 98])));
    }
}
