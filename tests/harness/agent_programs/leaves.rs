//! What random programs are made of at the ends: dispatches, names of buffers, indices, numbers, conditions.
//!
//! All text that these give is an expression or a statement that fits the scope it was asked for.

use super::{LENGTH, Program, Scope};

impl Program<'_> {
    pub(super) fn agent(&mut self) -> &'static str {
        match self.random.below(12) {
            0..=3 => "GPU.dispatch",
            4 | 5 => "GPU.dispatchOn 1",
            6 => "GPU.dispatchAt 1 0",
            7..=10 => "NPU.dispatch",
            _ => "CPU.dispatch",
        }
    }

    pub(super) fn dispatch(&mut self, scope: &Scope) {
        let agent = self.agent();
        let v = self.int(scope, 1);
        let (x, y, z, w) = (self.buffer(scope), self.buffer(scope), self.buffer(scope), self.buffer(scope));
        let call = match self.random.below(17) {
            0 | 1 => format!("\"fill\" {{| V = {v}; Z = {z}.Address |}}"),
            2 | 3 => format!("\"update\" {{| V = {v}; Z = {z}.Address |}}"),
            4 => format!("\"part\" {{| V = {v}; Z = {z}.Address |}}"),
            5 => format!("\"choose\" {{| V = {v}; Z = {z}.Address |}}"),
            6 => {
                let (low, high) = (self.random.below(LENGTH), self.random.below(LENGTH));
                format!("\"range\" {{| Low = {low}; High = {high}; V = {v}; Z = {z}.Address |}}")
            }
            7 => format!("\"look\" {{| V = {v}; X = {x}.Address |}}"),
            8 | 9 => format!("\"copy\" {{| V = {v}; X = {x}.Address; Z = {z}.Address |}}"),
            10 | 11 => format!("\"mix\" {{| V = {v}; X = {x}.Address; Z = {z}.Address |}}"),
            12 => format!("\"sum\" {{| X = {x}.Address; Y = {y}.Address; Z = {z}.Address |}}"),
            13 => format!("\"both\" {{| V = {v}; Z = {z}.Address; W = {w}.Address |}}"),
            14 => format!("\"exchange\" {{| Z = {z}.Address; W = {w}.Address |}}"),
            15 if scope.own.len() > 1 => {
                let first = self.random.below(scope.own.len());
                let second = (first + self.random.between(1, scope.own.len() - 1)) % scope.own.len();
                let (x, z) = (&scope.own[first], &scope.own[second]);
                format!("\"spread\" {{| X = {x}.Address; Z = {z}.Address |}}")
            }
            _ => {
                // An address inside the buffer: the kernel sees what is behind it.
                let bytes = 4 * self.random.between(1, LENGTH - 8);
                let kernel = *self.random.pick(&["fill", "update", "part", "choose"]);
                format!("\"{kernel}\" {{| V = {v}; Z = {z}.Address + {bytes}n |}}")
            }
        };
        self.out.line(format!("{agent} {call}"));
    }

    /// A buffer by a name that does not change.
    pub(super) fn fixed(&mut self, scope: &Scope) -> String {
        self.random.pick(&scope.buffers).clone()
    }

    pub(super) fn buffer(&mut self, scope: &Scope) -> String {
        if !scope.moving.is_empty() && self.random.chance(20) {
            return self.random.pick(&scope.moving).clone();
        }
        if !scope.arrays.is_empty() && self.random.chance(15) {
            return format!("{}.[{}]", self.random.pick(&scope.arrays), self.random.below(2));
        }
        self.fixed(scope)
    }

    pub(super) fn index(&mut self, scope: &Scope) -> String {
        if self.random.chance(70) {
            self.random.below(LENGTH).to_string()
        } else {
            format!("({}) &&& {}", self.int(scope, 1), LENGTH - 1)
        }
    }

    /// A number; `depth` operators at most.
    pub(super) fn int(&mut self, scope: &Scope, depth: usize) -> String {
        if depth > 0 && self.random.chance(40) {
            let operator = *self.random.pick(&["+", "-", "*"]);
            return format!("({} {operator} {})", self.int(scope, depth - 1), self.int(scope, depth - 1));
        }
        match self.random.below(10) {
            0 | 1 if !scope.ints.is_empty() => self.random.pick(&scope.ints).clone(),
            2 if scope.total => "total".into(),
            3 if !scope.buffers.is_empty() && depth > 0 => {
                format!("{}.[{}]", self.buffer(scope), self.random.below(LENGTH))
            }
            _ => self.random.between(1, 99).to_string(),
        }
    }

    pub(super) fn condition(&mut self, scope: &Scope) -> String {
        match self.random.below(5) {
            0 => "n = 1".into(),
            1 => "n > 1".into(),
            2 => format!("({}) % 2 = 0", self.int(scope, 1)),
            3 if !scope.buffers.is_empty() => {
                format!("{}.[{}] % 2 = 0", self.buffer(scope), self.random.below(LENGTH))
            }
            _ => format!("{} > {}", self.int(scope, 1), self.int(scope, 1)),
        }
    }
}
