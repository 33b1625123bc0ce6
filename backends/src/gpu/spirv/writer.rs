//! Writing operations one per line, each with its location, and remembering what nodes became.

use super::types::{Needs, Scalar};
use clef_frontend::span::Span;
use clef_psg::graph::Psg;
use clef_psg::id::NodeId;
use rustc_hash::FxHashMap;
use std::fmt::Write as _;

/// What a node became.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Unit,
    Scalar(String, Scalar),
    /// Address and element count, both 64-bit values.
    Buffer {
        base: String,
        len: String,
        element: Scalar,
    },
    /// An array of the workgroup: its global variable, and whether that holds vectors of four.
    Shared {
        symbol: String,
        len: u32,
        element: Scalar,
        lanes: u32,
    },
    /// An array of the work-item: one variable, or one for each element.
    Own {
        variables: Vec<String>,
        len: u32,
        element: Scalar,
    },
    /// A team's sums of tiles: a variable for each matrix.
    Tiles(Vec<String>),
    /// A mutable local: its pointer.
    Variable(String, Scalar),
}

/// The finished inside of a function.
pub struct Body {
    /// Constants, which stand first.
    pub constants: String,
    pub text: String,
    pub needs: Needs,
    /// Arrays of the workgroup: symbol and type of the pointer.
    pub shared: Vec<(String, String)>,
    /// Built-in 32-bit values beside the usual ones: symbol and SPIR-V's name.
    pub builtins: Vec<(&'static str, &'static str)>,
}

pub struct Writer<'a> {
    psg: &'a Psg,
    text: String,
    constants: String,
    known_constants: FxHashMap<String, String>,
    values: FxHashMap<NodeId, Value>,
    next: u32,
    location: String,
    pub needs: Needs,
    pub shared: Vec<(String, String)>,
    pub builtins: Vec<(&'static str, &'static str)>,
}

/// `loc("file":line:column)`.
pub fn location(psg: &Psg, span: Span) -> String {
    match psg.files.get(span.file.0 as usize) {
        Some(file) => {
            let (line, column) = file.lines.line_column(span.start);
            let name = file.name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("loc(\"{name}\":{line}:{column})")
        }
        None => "loc(\"clefc.kernel\")".to_owned(),
    }
}

impl<'a> Writer<'a> {
    pub fn new(psg: &'a Psg) -> Self {
        Self {
            psg,
            text: String::new(),
            constants: String::new(),
            known_constants: FxHashMap::default(),
            values: FxHashMap::default(),
            next: 0,
            location: "loc(\"clefc.kernel\")".to_owned(),
            needs: Needs::default(),
            shared: Vec::new(),
            builtins: Vec::new(),
        }
    }

    /// Where the operations written next come from.
    pub fn at(&mut self, span: Span) {
        self.location = location(self.psg, span);
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("%{}", self.next)
    }

    /// An operation with one result; its name.
    pub fn op(&mut self, text: &str) -> String {
        let name = self.fresh();
        let _ = writeln!(self.text, "    {name} = {text} {}", self.location);
        name
    }

    /// An operation without a result.
    pub fn effect(&mut self, text: &str) {
        let _ = writeln!(self.text, "    {text} {}", self.location);
    }

    /// Text that takes no location: the opening of a region, a block's label.
    pub fn raw(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A constant, once per function: `1 : i32`.
    pub fn constant(&mut self, text: &str) -> String {
        if let Some(name) = self.known_constants.get(text) {
            return name.clone();
        }
        let name = self.fresh();
        let _ = writeln!(self.constants, "    {name} = spirv.Constant {text} {}", self.location);
        self.known_constants.insert(text.to_owned(), name.clone());
        name
    }

    /// A constant of a scalar type from sign-extended bits or a float.
    pub fn number(&mut self, value: i64, scalar: Scalar) -> String {
        match scalar {
            Scalar::Bool => self.constant(if value == 0 { "false" } else { "true" }),
            Scalar::Int { .. } => self.constant(&format!("{value} : {}", scalar.text())),
            Scalar::Float { .. } => self.float(value as f64, scalar),
        }
    }

    /// A float constant, exactly: by its bits.
    pub fn float(&mut self, value: f64, scalar: Scalar) -> String {
        let bits = match scalar {
            Scalar::Float { bits: 64 } => format!("0x{:016X}", value.to_bits()),
            Scalar::Float { bits: 16 } => format!("0x{:04X}", half_bits(value)),
            _ => format!("0x{:08X}", (value as f32).to_bits()),
        };
        self.constant(&format!("{bits} : {}", scalar.text()))
    }

    pub fn bind(&mut self, node: NodeId, value: Value) {
        self.values.insert(node, value);
    }

    pub fn value(&self, node: NodeId) -> Option<&Value> {
        self.values.get(&node)
    }

    pub fn finish(self) -> Body {
        Body {
            constants: self.constants,
            text: self.text,
            needs: self.needs,
            shared: self.shared,
            builtins: self.builtins,
        }
    }
}

/// The bits of a value as IEEE half precision. The graph keeps constants exact, so only exact values arrive; others
/// are rounded to nearest even through single precision.
fn half_bits(value: f64) -> u16 {
    let single = (value as f32).to_bits();
    let sign = (single >> 16 & 0x8000) as u16;
    let exponent = (single >> 23 & 0xff) as i32 - 127 + 15;
    let mantissa = single & 0x007f_ffff;
    if single & 0x7fff_ffff > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    if exponent >= 31 {
        return sign | 0x7c00;
    }
    let (shifted, rest_bits) = if exponent <= 0 {
        if exponent < -10 {
            return sign;
        }
        (mantissa | 0x0080_0000, 14 - exponent as u32)
    } else {
        (mantissa | (exponent as u32) << 23, 13)
    };
    let half = shifted >> rest_bits;
    let rest = shifted & ((1 << rest_bits) - 1);
    let tie = 1 << (rest_bits - 1);
    let up = rest > tie || (rest == tie && half & 1 == 1);
    sign | (half + u32::from(up)) as u16
}

#[cfg(test)]
mod tests {
    use super::half_bits;

    #[test]
    fn half_precision_bits_are_ieee() {
        let cases = [(1.0, 0x3c00), (-2.0, 0xc000), (65504.0, 0x7bff), (1e6, 0x7c00), (0.1, 0x2e66)];
        for (value, bits) in cases {
            assert_eq!(half_bits(value), bits, "{value}");
        }
        assert_eq!(half_bits(5.960_464_477_539_063e-8), 0x0001);
        assert_eq!(half_bits(0.0), 0);
    }
}
