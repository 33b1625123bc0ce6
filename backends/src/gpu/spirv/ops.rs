//! Scalar operations: constants, arithmetic, comparisons, conversions, math functions.

use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::id::NodeId;
use clef_psg::node::{BinOp, Const, FailKind, Op, UnOp};

impl Lowering<'_> {
    /// The scalar value of an operand.
    pub(super) fn scalar(&mut self, node: NodeId) -> Result<(String, Scalar), Refusal> {
        match self.writer.value(node) {
            Some(Value::Scalar(name, scalar)) => Ok((name.clone(), *scalar)),
            _ => Err(self.refuse(node, "kernels for Vulkan have numbers, booleans and buffers only")),
        }
    }

    fn operand(&mut self, node: NodeId, index: usize) -> Result<(String, Scalar), Refusal> {
        let operand = self.psg.nodes[node].operands.get(index).copied();
        match operand {
            Some(operand) => self.scalar(operand),
            None => Err(self.refuse(node, "an operand is missing")),
        }
    }

    fn bind_scalar(&mut self, node: NodeId, name: String, scalar: Scalar) {
        self.writer.needs.value(scalar);
        self.writer.bind(node, Value::Scalar(name, scalar));
    }

    pub(super) fn scalar_op(&mut self, node: NodeId) -> Result<(), Refusal> {
        match &self.psg.nodes[node].op {
            Op::Const(value) => self.constant(node, &value.clone()),
            Op::Binary(op) => self.binary(node, *op),
            Op::Unary(op) => self.unary(node, *op),
            Op::Convert => self.convert(node),
            Op::Fail(kind) => {
                let text = match kind {
                    FailKind::Message | FailKind::Match | FailKind::ZeroStep => 3,
                };
                let zero = self.writer.constant("0 : i64");
                self.record(node, text, &zero.clone(), &zero);
                // The value of a failed computation is never used: zero stands for it.
                if let Some(scalar) = types::scalar(self.psg, self.psg.nodes[node].ty) {
                    let zero = self.writer.number(0, scalar);
                    self.bind_scalar(node, zero, scalar);
                } else {
                    self.writer.bind(node, Value::Unit);
                }
                Ok(())
            }
            other => {
                let what = operation_name(other);
                Err(self.refuse(node, format!("{what} cannot run on a GPU through Vulkan")))
            }
        }
    }

    fn constant(&mut self, node: NodeId, value: &Const) -> Result<(), Refusal> {
        let ty = self.psg.nodes[node].ty;
        let scalar = types::scalar(self.psg, ty);
        let name = match (value, scalar) {
            (Const::Unit, _) => {
                self.writer.bind(node, Value::Unit);
                return Ok(());
            }
            (Const::Bool(b), Some(s)) => self.writer.number(i64::from(*b), s),
            (Const::Char(c), Some(s)) => self.writer.number(i64::from(u32::from(*c)), s),
            (Const::Int(v), Some(s)) => self.writer.number(*v, s),
            (Const::Float(v), Some(s)) => self.writer.float(*v, s),
            // Text is allowed as the message of a failure; it is reported by place.
            (Const::String(_), _) => {
                self.writer.bind(node, Value::Unit);
                return Ok(());
            }
            (_, None) => return Err(self.refuse(node, "a constant of this type cannot be used on a GPU")),
        };
        if let Some(scalar) = scalar {
            self.bind_scalar(node, name, scalar);
        }
        Ok(())
    }

    fn binary(&mut self, node: NodeId, op: BinOp) -> Result<(), Refusal> {
        let (a, scalar) = self.operand(node, 0)?;
        let (b, _) = self.operand(node, 1)?;
        let ty = scalar.text();
        let (name, result) = match scalar {
            Scalar::Bool => (self.boolean(node, op, &a, &b)?, Scalar::Bool),
            Scalar::Int { signed, bits } => match op {
                BinOp::Div | BinOp::Rem => (self.divide(node, op, (&a, &b), bits, signed), scalar),
                BinOp::Shl | BinOp::Shr => {
                    let mask = self.writer.number(i64::from(bits - 1), scalar);
                    let count = self.writer.op(&format!("spirv.BitwiseAnd {b}, {mask} : {ty}"));
                    let shift = match (op, signed) {
                        (BinOp::Shl, _) => "ShiftLeftLogical",
                        (_, true) => "ShiftRightArithmetic",
                        (_, false) => "ShiftRightLogical",
                    };
                    (self.writer.op(&format!("spirv.{shift} {a}, {count} : {ty}, {ty}")), scalar)
                }
                BinOp::Min | BinOp::Max => (self.extreme(op, &a, &b, scalar), scalar),
                _ => match integer_op(op, signed) {
                    Some((name, compares)) => {
                        let result = if compares { Scalar::Bool } else { scalar };
                        (self.writer.op(&format!("spirv.{name} {a}, {b} : {ty}")), result)
                    }
                    None => return Err(self.refuse(node, "this operation is for floating point")),
                },
            },
            Scalar::Float { bits } => match op {
                BinOp::Min | BinOp::Max => (self.extreme(op, &a, &b, scalar), scalar),
                BinOp::Pow | BinOp::Atan2 if bits == 64 => {
                    return Err(self.refuse(node, "this function exists on a GPU for float32 only"));
                }
                BinOp::Pow => (self.writer.op(&format!("spirv.GL.Pow {a}, {b} : {ty}")), scalar),
                _ => match float_op(op) {
                    Some((name, compares)) => {
                        let result = if compares { Scalar::Bool } else { scalar };
                        (self.writer.op(&format!("spirv.{name} {a}, {b} : {ty}")), result)
                    }
                    None => {
                        return Err(
                            self.refuse(node, "this operation has no form for floating point on a GPU")
                        );
                    }
                },
            },
        };
        self.bind_scalar(node, name, result);
        Ok(())
    }

    fn boolean(&mut self, node: NodeId, op: BinOp, a: &str, b: &str) -> Result<String, Refusal> {
        let name = match op {
            BinOp::Eq => "LogicalEqual",
            BinOp::Ne | BinOp::BitXor => "LogicalNotEqual",
            BinOp::BitAnd => "LogicalAnd",
            BinOp::BitOr => "LogicalOr",
            _ => return Err(self.refuse(node, "booleans have no such operation")),
        };
        Ok(self.writer.op(&format!("spirv.{name} {a}, {b} : i1")))
    }

    /// Integer division: by zero is recorded and gives zero; the least value by -1 wraps.
    fn divide(&mut self, node: NodeId, op: BinOp, (a, b): (&str, &str), bits: u32, signed: bool) -> String {
        let scalar = Scalar::Int { bits, signed };
        let ty = scalar.text();
        let zero = self.writer.number(0, scalar);
        let one = self.writer.number(1, scalar);
        let divisor_known = self.psg.nodes[node]
            .operands
            .get(1)
            .is_some_and(|&d| matches!(self.psg.nodes[d].op, Op::Const(Const::Int(v)) if v != 0 && v != -1));
        let mut divisor = b.to_owned();
        if !divisor_known {
            let by_zero = self.writer.op(&format!("spirv.IEqual {b}, {zero} : {ty}"));
            self.when(&by_zero, |cx| {
                let none = cx.writer.constant("0 : i64");
                cx.record(node, 2, &none.clone(), &none);
            });
            divisor = self.writer.op(&format!("spirv.Select {by_zero}, {one}, {b} : i1, {ty}"));
        }
        let name = match (op, signed) {
            (BinOp::Div, true) => "SDiv",
            (BinOp::Div, false) => "UDiv",
            (_, true) => "SRem",
            (_, false) => "UMod",
        };
        if !signed || divisor_known {
            return self.writer.op(&format!("spirv.{name} {a}, {divisor} : {ty}"));
        }
        // Dividing by -1 is negation (or remainder zero); the instruction itself is undefined for the least value.
        let minus_one = self.writer.number(-1, scalar);
        let negates = self.writer.op(&format!("spirv.IEqual {divisor}, {minus_one} : {ty}"));
        let safe = self.writer.op(&format!("spirv.Select {negates}, {one}, {divisor} : i1, {ty}"));
        let plain = self.writer.op(&format!("spirv.{name} {a}, {safe} : {ty}"));
        let other = match op {
            BinOp::Div => self.writer.op(&format!("spirv.ISub {zero}, {a} : {ty}")),
            _ => zero,
        };
        self.writer.op(&format!("spirv.Select {negates}, {other}, {plain} : i1, {ty}"))
    }

    /// Minimum and maximum; of floats, not-a-number wins, as in F#.
    fn extreme(&mut self, op: BinOp, a: &str, b: &str, scalar: Scalar) -> String {
        let ty = scalar.text();
        let less = op == BinOp::Min;
        let compare = match (scalar, less) {
            (Scalar::Float { .. }, true) => "FOrdLessThan",
            (Scalar::Float { .. }, false) => "FOrdGreaterThan",
            (Scalar::Int { signed: true, .. }, true) => "SLessThan",
            (Scalar::Int { signed: true, .. }, false) => "SGreaterThan",
            (_, true) => "ULessThan",
            (_, false) => "UGreaterThan",
        };
        let second = self.writer.op(&format!("spirv.{compare} {b}, {a} : {ty}"));
        let chosen = self.writer.op(&format!("spirv.Select {second}, {b}, {a} : i1, {ty}"));
        if !matches!(scalar, Scalar::Float { .. }) {
            return chosen;
        }
        let nan = self.writer.op(&format!("spirv.FUnordNotEqual {b}, {b} : {ty}"));
        self.writer.op(&format!("spirv.Select {nan}, {b}, {chosen} : i1, {ty}"))
    }

    fn unary(&mut self, node: NodeId, op: UnOp) -> Result<(), Refusal> {
        let (a, scalar) = self.operand(node, 0)?;
        let ty = scalar.text();
        let name = match (op, scalar) {
            (UnOp::Not, _) => "LogicalNot",
            (UnOp::BitNot, _) => "Not",
            (UnOp::Neg, Scalar::Float { .. }) => "FNegate",
            (UnOp::Neg, _) => "SNegate",
            (UnOp::Abs, Scalar::Int { signed: true, .. }) => "GL.SAbs",
            (UnOp::Abs, Scalar::Float { .. }) => "GL.FAbs",
            (UnOp::Sqrt, Scalar::Float { .. }) => "GL.Sqrt",
            (UnOp::Floor, Scalar::Float { .. }) => "GL.Floor",
            (UnOp::Ceil, Scalar::Float { .. }) => "GL.Ceil",
            (UnOp::Round, Scalar::Float { .. }) => "GL.RoundEven",
            (UnOp::Truncate, Scalar::Float { .. }) => "GL.Trunc",
            (_, Scalar::Float { bits: 64 }) => {
                return Err(self.refuse(node, "this function exists on a GPU for float32 only"));
            }
            (UnOp::Log2 | UnOp::Log10, Scalar::Float { .. }) => return self.scaled_log(node, op, &a, scalar),
            (_, Scalar::Float { .. }) => match transcendental(op) {
                Some(name) => name,
                None => return Err(self.refuse(node, "this function has no form on a GPU")),
            },
            _ => return Err(self.refuse(node, "this function is for floating point")),
        };
        let value = self.writer.op(&format!("spirv.{name} {a} : {ty}"));
        self.bind_scalar(node, value, scalar);
        Ok(())
    }

    /// Logarithms to other bases by the natural one.
    fn scaled_log(&mut self, node: NodeId, op: UnOp, a: &str, scalar: Scalar) -> Result<(), Refusal> {
        let ty = scalar.text();
        let factor = if op == UnOp::Log2 { std::f64::consts::LOG2_E } else { std::f64::consts::LOG10_E };
        let log = self.writer.op(&format!("spirv.GL.Log {a} : {ty}"));
        let factor = self.writer.float(factor, scalar);
        let value = self.writer.op(&format!("spirv.FMul {log}, {factor} : {ty}"));
        self.bind_scalar(node, value, scalar);
        Ok(())
    }

    fn convert(&mut self, node: NodeId) -> Result<(), Refusal> {
        let (a, from) = self.operand(node, 0)?;
        let Some(to) = types::scalar(self.psg, self.psg.nodes[node].ty) else {
            return Err(self.refuse(node, "a conversion to this type cannot run on a GPU"));
        };
        self.writer.needs.value(to);
        let (f, t) = (from.text(), to.text());
        let value = match (from, to) {
            (Scalar::Bool, Scalar::Int { .. }) => {
                let (one, zero) = (self.writer.number(1, to), self.writer.number(0, to));
                self.writer.op(&format!("spirv.Select {a}, {one}, {zero} : i1, {t}"))
            }
            (Scalar::Int { bits: x, .. }, Scalar::Int { bits: y, .. }) if x == y => a,
            (Scalar::Int { signed: false, .. }, Scalar::Int { .. }) => {
                self.writer.op(&format!("spirv.UConvert {a} : {f} to {t}"))
            }
            (Scalar::Int { .. }, Scalar::Int { .. }) => {
                self.writer.op(&format!("spirv.SConvert {a} : {f} to {t}"))
            }
            (Scalar::Int { signed: true, .. }, Scalar::Float { .. }) => {
                self.writer.op(&format!("spirv.ConvertSToF {a} : {f} to {t}"))
            }
            (Scalar::Int { .. }, Scalar::Float { .. }) => {
                self.writer.op(&format!("spirv.ConvertUToF {a} : {f} to {t}"))
            }
            (Scalar::Float { bits: x }, Scalar::Float { bits: y }) if x == y => a,
            (Scalar::Float { .. }, Scalar::Float { .. }) => {
                self.writer.op(&format!("spirv.FConvert {a} : {f} to {t}"))
            }
            (Scalar::Float { .. }, Scalar::Int { bits, signed }) => self.saturate(&a, from, bits, signed),
            _ => return Err(self.refuse(node, "this conversion cannot run on a GPU")),
        };
        self.bind_scalar(node, value, to);
        Ok(())
    }

    /// Float to integer as everywhere in Clef: toward zero, clamped to the range, not-a-number gives zero.
    fn saturate(&mut self, a: &str, from: Scalar, bits: u32, signed: bool) -> String {
        let (f, t) = (from.text(), format!("i{bits}"));
        let to = Scalar::Int { bits, signed };
        let top = if signed { bits - 1 } else { bits };
        let high = 2.0_f64.powi(top as i32);
        let low = if signed { -high } else { 0.0 };
        let (low_c, high_c) = (self.writer.float(low, from), self.writer.float(high, from));
        let zero = self.writer.float(0.0, from);
        let below = self.writer.op(&format!("spirv.FOrdLessThan {a}, {low_c} : {f}"));
        let above = self.writer.op(&format!("spirv.FOrdGreaterThanEqual {a}, {high_c} : {f}"));
        let nan = self.writer.op(&format!("spirv.FUnordNotEqual {a}, {a} : {f}"));
        let outside = self.writer.op(&format!("spirv.LogicalOr {above}, {nan} : i1"));
        let outside = self.writer.op(&format!("spirv.LogicalOr {outside}, {below} : i1"));
        let safe = self.writer.op(&format!("spirv.Select {outside}, {zero}, {a} : i1, {f}"));
        let convert = if signed { "ConvertFToS" } else { "ConvertFToU" };
        let inside = self.writer.op(&format!("spirv.{convert} {safe} : {f} to {t}"));
        let (least, most) = if signed { (-1_i64 << (bits - 1), !(-1_i64 << (bits - 1))) } else { (0, -1) };
        let (least, most) = (self.writer.number(least, to), self.writer.number(most, to));
        let value = self.writer.op(&format!("spirv.Select {above}, {most}, {inside} : i1, {t}"));
        self.writer.op(&format!("spirv.Select {below}, {least}, {value} : i1, {t}"))
    }
}

/// SPIR-V's name of an integer operation, and whether it compares.
fn integer_op(op: BinOp, signed: bool) -> Option<(&'static str, bool)> {
    Some(match (op, signed) {
        (BinOp::Add, _) => ("IAdd", false),
        (BinOp::Sub, _) => ("ISub", false),
        (BinOp::Mul, _) => ("IMul", false),
        (BinOp::BitAnd, _) => ("BitwiseAnd", false),
        (BinOp::BitOr, _) => ("BitwiseOr", false),
        (BinOp::BitXor, _) => ("BitwiseXor", false),
        (BinOp::Eq, _) => ("IEqual", true),
        (BinOp::Ne, _) => ("INotEqual", true),
        (BinOp::Lt, true) => ("SLessThan", true),
        (BinOp::Lt, false) => ("ULessThan", true),
        (BinOp::Le, true) => ("SLessThanEqual", true),
        (BinOp::Le, false) => ("ULessThanEqual", true),
        (BinOp::Gt, true) => ("SGreaterThan", true),
        (BinOp::Gt, false) => ("UGreaterThan", true),
        (BinOp::Ge, true) => ("SGreaterThanEqual", true),
        (BinOp::Ge, false) => ("UGreaterThanEqual", true),
        _ => return None,
    })
}

fn float_op(op: BinOp) -> Option<(&'static str, bool)> {
    Some(match op {
        BinOp::Add => ("FAdd", false),
        BinOp::Sub => ("FSub", false),
        BinOp::Mul => ("FMul", false),
        BinOp::Div => ("FDiv", false),
        BinOp::Rem => ("FRem", false),
        BinOp::Eq => ("FOrdEqual", true),
        BinOp::Ne => ("FUnordNotEqual", true),
        BinOp::Lt => ("FOrdLessThan", true),
        BinOp::Le => ("FOrdLessThanEqual", true),
        BinOp::Gt => ("FOrdGreaterThan", true),
        BinOp::Ge => ("FOrdGreaterThanEqual", true),
        _ => return None,
    })
}

fn transcendental(op: UnOp) -> Option<&'static str> {
    Some(match op {
        UnOp::Exp => "GL.Exp",
        UnOp::Log => "GL.Log",
        UnOp::Sin => "GL.Sin",
        UnOp::Cos => "GL.Cos",
        UnOp::Tan => "GL.Tan",
        UnOp::Asin => "GL.Asin",
        UnOp::Acos => "GL.Acos",
        UnOp::Atan => "GL.Atan",
        UnOp::Sinh => "GL.Sinh",
        UnOp::Cosh => "GL.Cosh",
        UnOp::Tanh => "GL.Tanh",
        _ => return None,
    })
}

/// An operation in the user's words.
fn operation_name(op: &Op) -> &'static str {
    match op {
        Op::Make(_) | Op::Field { .. } | Op::Tag | Op::SetField(_) => "a record, tuple or union",
        Op::ArrayLit | Op::ArrayNew | Op::Length | Op::ArrayGet { .. } | Op::ArraySet { .. } => "an array",
        Op::FormatValue(_) | Op::Concat | Op::Print { .. } => "text",
        Op::Closure(_) | Op::CallClosure { .. } => "a function value",
        Op::CallExtern(_) => "a foreign function",
        Op::Barrier | Op::WorkgroupArray(_) => "workgroup memory",
        _ => "this operation",
    }
}
