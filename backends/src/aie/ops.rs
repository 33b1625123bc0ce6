//! Scalar operations of a core: constants, arithmetic, comparisons, conversions, functions.

use super::core::{Core, Refusal};
use crate::gpu::spirv::types::Scalar;
use clef_psg::id::NodeId;
use clef_psg::node::{BinOp, Const, Op, UnOp};

impl Core<'_> {
    pub(super) fn scalar_op(&mut self, node: NodeId) -> Result<(), Refusal> {
        let psg = self.psg;
        let (value, scalar) = match &psg.nodes[node].op {
            Op::Const(value) => {
                let scalar = self.scalar_type(node)?;
                (self.literal(node, value, scalar)?, scalar)
            }
            Op::Binary(op) => self.binary(node, *op)?,
            Op::Unary(op) => self.unary(node, *op)?,
            Op::Convert => {
                let to = self.scalar_type(node)?;
                (self.convert(node, to)?, to)
            }
            Op::Barrier | Op::WorkgroupArray(_) | Op::Group { .. } | Op::Atomic(_) => {
                return Err(self.refuse(node, "work-items that meet or share have no form for the NPU"));
            }
            _ => return Err(self.refuse(node, "this operation has no form for the NPU")),
        };
        self.bind(node, value, scalar);
        Ok(())
    }

    pub(super) fn literal(&mut self, node: NodeId, value: &Const, scalar: Scalar) -> Result<String, Refusal> {
        Ok(match value {
            Const::Bool(b) => self.number(i64::from(*b), scalar),
            Const::Char(c) => self.number(i64::from(u32::from(*c)), scalar),
            Const::Int(v) => self.number(*v, scalar),
            Const::Float(v) => self.float(*v, scalar),
            Const::Unit | Const::String(_) => {
                return Err(self.refuse(node, "a constant of this type has no form for the NPU"));
            }
        })
    }

    fn binary(&mut self, node: NodeId, op: BinOp) -> Result<(String, Scalar), Refusal> {
        let ((a, scalar), (b, _)) = (self.operand(node, 0)?, self.operand(node, 1)?);
        let ty = scalar.text();
        if let Some((signed, unsigned, float)) = comparison(op) {
            let value = match scalar {
                Scalar::Float { .. } => self.op(&format!("arith.cmpf {float}, {a}, {b} : {ty}")),
                Scalar::Int { signed: true, .. } => self.op(&format!("arith.cmpi {signed}, {a}, {b} : {ty}")),
                _ => self.op(&format!("arith.cmpi {unsigned}, {a}, {b} : {ty}")),
            };
            return Ok((value, Scalar::Bool));
        }
        let name = match (op, scalar) {
            (BinOp::Div | BinOp::Rem, Scalar::Int { bits, signed }) => {
                return Ok((self.divide(node, op, (&a, &b), bits, signed), scalar));
            }
            (BinOp::Shl | BinOp::Shr, Scalar::Int { bits, signed }) => {
                let mask = self.number(i64::from(bits - 1), scalar);
                let count = self.op(&format!("arith.andi {b}, {mask} : {ty}"));
                let name = match (op, signed) {
                    (BinOp::Shl, _) => "shli",
                    (_, true) => "shrsi",
                    (_, false) => "shrui",
                };
                return Ok((self.op(&format!("arith.{name} {a}, {count} : {ty}")), scalar));
            }
            (BinOp::Min | BinOp::Max, _) => return Ok((self.extreme(op, &a, &b, scalar), scalar)),
            (BinOp::BitAnd, Scalar::Int { .. } | Scalar::Bool) => "arith.andi",
            (BinOp::BitOr, Scalar::Int { .. } | Scalar::Bool) => "arith.ori",
            (BinOp::BitXor, Scalar::Int { .. } | Scalar::Bool) => "arith.xori",
            (BinOp::Add, Scalar::Int { .. }) => "arith.addi",
            (BinOp::Sub, Scalar::Int { .. }) => "arith.subi",
            (BinOp::Mul, Scalar::Int { .. }) => "arith.muli",
            (BinOp::Add, Scalar::Float { .. }) => "arith.addf",
            (BinOp::Sub, Scalar::Float { .. }) => "arith.subf",
            (BinOp::Mul, Scalar::Float { .. }) => "arith.mulf",
            (BinOp::Div, Scalar::Float { .. }) => "arith.divf",
            (BinOp::Rem, Scalar::Float { .. }) => "arith.remf",
            (BinOp::Pow, Scalar::Float { .. }) => "math.powf",
            (BinOp::Atan2, Scalar::Float { .. }) => "math.atan2",
            _ => return Err(self.refuse(node, "numbers of this type have no such operation")),
        };
        Ok((self.op(&format!("{name} {a}, {b} : {ty}")), scalar))
    }

    /// Integer division: by zero is recorded and gives zero; the least value by -1 wraps.
    fn divide(&mut self, node: NodeId, op: BinOp, (a, b): (&str, &str), bits: u32, signed: bool) -> String {
        let scalar = Scalar::Int { bits, signed };
        let ty = scalar.text();
        let name = match (op, signed) {
            (BinOp::Div, true) => "divsi",
            (BinOp::Div, false) => "divui",
            (_, true) => "remsi",
            (_, false) => "remui",
        };
        let known = self.psg.nodes[node]
            .operands
            .get(1)
            .is_some_and(|&d| matches!(self.psg.nodes[d].op, Op::Const(Const::Int(v)) if v != 0 && v != -1));
        if known {
            return self.op(&format!("arith.{name} {a}, {b} : {ty}"));
        }
        let (zero, one) = (self.number(0, scalar), self.number(1, scalar));
        let by_zero = self.op(&format!("arith.cmpi eq, {b}, {zero} : {ty}"));
        self.line(&format!("scf.if {by_zero} {{"));
        let none = self.constant("0 : i32");
        self.record(node, 2, (&none.clone(), &none));
        self.line("}");
        let mut unfit = by_zero.clone();
        let mut negates = None;
        if signed {
            let minus = self.number(-1, scalar);
            let by_minus = self.op(&format!("arith.cmpi eq, {b}, {minus} : {ty}"));
            unfit = self.op(&format!("arith.ori {by_zero}, {by_minus} : i1"));
            negates = Some(by_minus);
        }
        let safe = self.op(&format!("arith.select {unfit}, {one}, {b} : {ty}"));
        let mut value = self.op(&format!("arith.{name} {a}, {safe} : {ty}"));
        if let Some(by_minus) = negates {
            let other = match op {
                BinOp::Div => self.op(&format!("arith.subi {zero}, {a} : {ty}")),
                _ => zero.clone(),
            };
            value = self.op(&format!("arith.select {by_minus}, {other}, {value} : {ty}"));
        }
        self.op(&format!("arith.select {by_zero}, {zero}, {value} : {ty}"))
    }

    /// Minimum and maximum; of floats, not-a-number wins, as in F#.
    fn extreme(&mut self, op: BinOp, a: &str, b: &str, scalar: Scalar) -> String {
        let name = match (scalar, op == BinOp::Min) {
            (Scalar::Float { .. }, true) => "minimumf",
            (Scalar::Float { .. }, false) => "maximumf",
            (Scalar::Int { signed: true, .. }, true) => "minsi",
            (Scalar::Int { signed: true, .. }, false) => "maxsi",
            (_, true) => "minui",
            (_, false) => "maxui",
        };
        self.op(&format!("arith.{name} {a}, {b} : {}", scalar.text()))
    }

    fn unary(&mut self, node: NodeId, op: UnOp) -> Result<(String, Scalar), Refusal> {
        let (a, scalar) = self.operand(node, 0)?;
        let ty = scalar.text();
        let value = match (op, scalar) {
            (UnOp::Not, _) => {
                let yes = self.number(1, Scalar::Bool);
                self.op(&format!("arith.xori {a}, {yes} : i1"))
            }
            (UnOp::BitNot, _) => {
                let ones = self.number(-1, scalar);
                self.op(&format!("arith.xori {a}, {ones} : {ty}"))
            }
            (UnOp::Neg, Scalar::Float { .. }) => self.op(&format!("arith.negf {a} : {ty}")),
            (UnOp::Neg, _) => {
                let zero = self.number(0, scalar);
                self.op(&format!("arith.subi {zero}, {a} : {ty}"))
            }
            (UnOp::Abs, Scalar::Int { signed: true, .. }) => self.op(&format!("math.absi {a} : {ty}")),
            (_, Scalar::Float { .. }) => self.op(&format!("math.{} {a} : {ty}", function(op))),
            _ => return Err(self.refuse(node, "this function is for floating point")),
        };
        Ok((value, scalar))
    }

    fn convert(&mut self, node: NodeId, to: Scalar) -> Result<String, Refusal> {
        let (a, from) = self.operand(node, 0)?;
        let (f, t) = (from.text(), to.text());
        Ok(match (from, to) {
            (Scalar::Bool, Scalar::Int { .. }) => self.op(&format!("arith.extui {a} : i1 to {t}")),
            (Scalar::Int { bits: x, .. }, Scalar::Int { bits: y, .. }) if x == y => a,
            (Scalar::Int { bits: x, .. }, Scalar::Int { bits: y, .. }) if x > y => {
                self.op(&format!("arith.trunci {a} : {f} to {t}"))
            }
            (Scalar::Int { signed, .. }, Scalar::Int { .. }) => {
                let name = if signed { "extsi" } else { "extui" };
                self.op(&format!("arith.{name} {a} : {f} to {t}"))
            }
            (Scalar::Int { signed, .. }, Scalar::Float { .. }) => {
                let name = if signed { "sitofp" } else { "uitofp" };
                self.op(&format!("arith.{name} {a} : {f} to {t}"))
            }
            (Scalar::Float { .. }, Scalar::Float { .. }) => a,
            (Scalar::Float { .. }, Scalar::Int { bits, signed }) => self.saturate(&a, bits, signed),
            _ => return Err(self.refuse(node, "this conversion has no form for the NPU")),
        })
    }

    /// Float to integer as everywhere in Clef: toward zero, clamped to the range, not-a-number gives zero.
    fn saturate(&mut self, a: &str, bits: u32, signed: bool) -> String {
        let (float, to) = (Scalar::Float { bits: 32 }, Scalar::Int { bits, signed });
        let t = to.text();
        let high = 2.0_f64.powi((if signed { bits - 1 } else { bits }) as i32);
        let low = if signed { -high } else { 0.0 };
        let (low, high, zero) = (self.float(low, float), self.float(high, float), self.float(0.0, float));
        let below = self.op(&format!("arith.cmpf olt, {a}, {low} : f32"));
        let above = self.op(&format!("arith.cmpf oge, {a}, {high} : f32"));
        let nan = self.op(&format!("arith.cmpf uno, {a}, {a} : f32"));
        let outside = self.op(&format!("arith.ori {above}, {nan} : i1"));
        let outside = self.op(&format!("arith.ori {outside}, {below} : i1"));
        let safe = self.op(&format!("arith.select {outside}, {zero}, {a} : f32"));
        let name = if signed { "fptosi" } else { "fptoui" };
        let inside = self.op(&format!("arith.{name} {safe} : f32 to {t}"));
        let (least, most) = if signed { (-1_i64 << (bits - 1), !(-1_i64 << (bits - 1))) } else { (0, -1) };
        let (least, most) = (self.number(least, to), self.number(most, to));
        let value = self.op(&format!("arith.select {above}, {most}, {inside} : {t}"));
        self.op(&format!("arith.select {below}, {least}, {value} : {t}"))
    }
}

/// Predicates for signed and unsigned integers and for floats.
fn comparison(op: BinOp) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match op {
        BinOp::Eq => ("eq", "eq", "oeq"),
        BinOp::Ne => ("ne", "ne", "une"),
        BinOp::Lt => ("slt", "ult", "olt"),
        BinOp::Le => ("sle", "ule", "ole"),
        BinOp::Gt => ("sgt", "ugt", "ogt"),
        BinOp::Ge => ("sge", "uge", "oge"),
        _ => return None,
    })
}

/// A function of the dialect `math`.
fn function(op: UnOp) -> &'static str {
    match op {
        UnOp::Neg | UnOp::Not | UnOp::BitNot | UnOp::Abs => "absf",
        UnOp::Sqrt => "sqrt",
        UnOp::Floor => "floor",
        UnOp::Ceil => "ceil",
        UnOp::Round => "roundeven",
        UnOp::Truncate => "trunc",
        UnOp::Exp => "exp",
        UnOp::Log => "log",
        UnOp::Log2 => "log2",
        UnOp::Log10 => "log10",
        UnOp::Sin => "sin",
        UnOp::Cos => "cos",
        UnOp::Tan => "tan",
        UnOp::Asin => "asin",
        UnOp::Acos => "acos",
        UnOp::Atan => "atan",
        UnOp::Sinh => "sinh",
        UnOp::Cosh => "cosh",
        UnOp::Tanh => "tanh",
    }
}
