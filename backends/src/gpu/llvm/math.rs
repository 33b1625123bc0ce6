//! Mathematical functions without a device library: from the hardware's base-2 exponential and logarithm, sine and cosine.
//!
//! Accuracy: relative 1e-6 for exponentials of moderate arguments, absolute 1e-6 for sine and cosine up to about 1e4, 1e-6
//! for the inverse functions. Half precision is computed in single precision; double precision has no form.

use super::target::Family;
use super::{Body, llvm_type};

const F: &str = "float";

/// A constant of single precision as LLVM spells it.
pub fn single(value: f64) -> String {
    format!("0x{:016X}", f64::from(value as f32).to_bits())
}

impl Body<'_> {
    /// A function of GLSL's set on one or two operands.
    pub(super) fn function(&mut self, name: &str, operands: &[String], ty: &str) -> Result<String, String> {
        let llvm = llvm_type(ty)?;
        let simple = match name {
            "FAbs" => "fabs",
            "Floor" => "floor",
            "Ceil" => "ceil",
            "RoundEven" => "roundeven",
            "Trunc" => "trunc",
            "Sqrt" => "sqrt",
            "FMin" => "minnum",
            "FMax" => "maxnum",
            "SMin" => "smin",
            "SMax" => "smax",
            "UMin" => "umin",
            "UMax" => "umax",
            "SAbs" => {
                return Ok(self.call(
                    &llvm,
                    &format!("llvm.abs.{ty}"),
                    &[(&llvm, &operands[0]), ("i1", "false")],
                ));
            }
            _ => return self.transcendental(name, operands, ty),
        };
        let given: Vec<(&str, &str)> = operands.iter().map(|o| (llvm.as_str(), o.as_str())).collect();
        Ok(self.call(&llvm, &format!("llvm.{simple}.{ty}"), &given))
    }

    fn transcendental(&mut self, name: &str, operands: &[String], ty: &str) -> Result<String, String> {
        let half = ty == "f16";
        if !half && ty != "f32" {
            return Err(format!("the function {name} of {ty}"));
        }
        let mut given: Vec<String> = operands.to_vec();
        if half {
            given = given.iter().map(|o| self.put(&format!("fpext half {o} to float"))).collect();
        }
        let x = given[0].as_str();
        let value = match name {
            "Exp" => self.exp(x),
            "Log" => {
                let log = self.log2(x);
                self.times(&log, std::f64::consts::LN_2)
            }
            "Pow" => {
                let log = self.log2(x);
                let product = self.put(&format!("fmul float {log}, {}", given[1]));
                self.exp2(&product)
            }
            "Sin" | "Cos" => self.circular(name, x),
            "Tan" => {
                let (s, c) = (self.circular("Sin", x), self.circular("Cos", x));
                self.put(&format!("fdiv float {s}, {c}"))
            }
            "Sinh" | "Cosh" | "Tanh" => self.hyperbolic(name, x),
            "Atan" => self.atan(x),
            "Asin" | "Acos" => self.inverse(name, x),
            _ => return Err(format!("the function {name}")),
        };
        Ok(if half { self.put(&format!("fptrunc float {value} to half")) } else { value })
    }

    fn times(&mut self, a: &str, factor: f64) -> String {
        self.put(&format!("fmul float {a}, {}", single(factor)))
    }

    fn exp2(&mut self, x: &str) -> String {
        match self.chip.family() {
            Family::Amd => self.call(F, "llvm.exp2.f32", &[(F, x)]),
            Family::Nvidia => self.call(F, "llvm.nvvm.ex2.approx.f32", &[(F, x)]),
        }
    }

    fn log2(&mut self, x: &str) -> String {
        match self.chip.family() {
            Family::Amd => self.call(F, "llvm.log2.f32", &[(F, x)]),
            Family::Nvidia => self.call(F, "llvm.nvvm.lg2.approx.f", &[(F, x)]),
        }
    }

    fn exp(&mut self, x: &str) -> String {
        let scaled = self.times(x, std::f64::consts::LOG2_E);
        self.exp2(&scaled)
    }

    fn fma(&mut self, a: &str, b: &str, c: &str) -> String {
        self.call(F, "llvm.fma.f32", &[(F, a), (F, b), (F, c)])
    }

    /// Sine or cosine: the nearest whole turn is taken away first, in two steps for its low digits.
    fn circular(&mut self, name: &str, x: &str) -> String {
        let turns = self.times(x, 1.0 / std::f64::consts::TAU);
        let turns = self.call(F, "llvm.roundeven.f32", &[(F, &turns)]);
        let high = f64::from(std::f32::consts::TAU);
        let near = self.fma(&turns, &single(-high), x);
        let rest = self.fma(&turns, &single(high - std::f64::consts::TAU), &near);
        let function = if name == "Sin" { "sin" } else { "cos" };
        match self.chip.family() {
            Family::Amd => {
                // The hardware's function takes turns.
                let turn = self.times(&rest, 1.0 / std::f64::consts::TAU);
                self.call(F, &format!("llvm.amdgcn.{function}.f32"), &[(F, &turn)])
            }
            Family::Nvidia => self.call(F, &format!("llvm.nvvm.{function}.approx.f"), &[(F, &rest)]),
        }
    }

    fn hyperbolic(&mut self, name: &str, x: &str) -> String {
        if name == "Tanh" {
            let twice = self.times(x, 2.0);
            let e = self.exp(&twice);
            let below = self.put(&format!("fadd float {e}, {}", single(1.0)));
            let part = self.put(&format!("fdiv float {}, {below}", single(2.0)));
            return self.put(&format!("fsub float {}, {part}", single(1.0)));
        }
        let e = self.exp(x);
        let inverse = self.put(&format!("fdiv float {}, {e}", single(1.0)));
        let operation = if name == "Sinh" { "fsub" } else { "fadd" };
        let both = self.put(&format!("{operation} float {e}, {inverse}"));
        self.times(&both, 0.5)
    }

    /// The arc tangent, by the polynomial of the Cephes library on [-tan(pi/8), tan(pi/8)].
    fn atan(&mut self, x: &str) -> String {
        use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
        let size = self.call(F, "llvm.fabs.f32", &[(F, x)]);
        let large = self.put(&format!("fcmp ogt float {size}, {}", single(2.414_213_562_373_095)));
        let middle = self.put(&format!("fcmp ogt float {size}, {}", single(0.414_213_562_373_095)));
        let inverse = self.put(&format!("fdiv float {}, {size}", single(-1.0)));
        let below = self.put(&format!("fsub float {size}, {}", single(1.0)));
        let above = self.put(&format!("fadd float {size}, {}", single(1.0)));
        let ratio = self.put(&format!("fdiv float {below}, {above}"));
        let t = self.put(&format!("select i1 {middle}, float {ratio}, float {size}"));
        let t = self.put(&format!("select i1 {large}, float {inverse}, float {t}"));
        let (zero, quarter) = (single(0.0), single(FRAC_PI_4));
        let offset = self.put(&format!("select i1 {middle}, float {quarter}, float {zero}"));
        let offset = self.put(&format!("select i1 {large}, float {}, float {offset}", single(FRAC_PI_2)));
        let z = self.put(&format!("fmul float {t}, {t}"));
        let mut sum = single(8.053_744_495_38e-2);
        for c in [-1.387_768_560_32e-1, 1.997_771_064_78e-1, -3.333_294_915_39e-1] {
            sum = self.fma(&sum, &z, &single(c));
        }
        let cubic = self.put(&format!("fmul float {sum}, {z}"));
        let near = self.fma(&cubic, &t, &t);
        let value = self.put(&format!("fadd float {offset}, {near}"));
        self.call(F, "llvm.copysign.f32", &[(F, &value), (F, x)])
    }

    fn inverse(&mut self, name: &str, x: &str) -> String {
        let square = self.put(&format!("fmul float {x}, {x}"));
        let rest = self.put(&format!("fsub float {}, {square}", single(1.0)));
        let root = self.call(F, "llvm.sqrt.f32", &[(F, &rest)]);
        let ratio = self.put(&format!("fdiv float {x}, {root}"));
        let asin = self.atan(&ratio);
        if name == "Asin" {
            return asin;
        }
        self.put(&format!("fsub float {}, {asin}", single(std::f64::consts::FRAC_PI_2)))
    }
}
