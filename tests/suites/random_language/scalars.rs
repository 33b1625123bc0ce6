//! Expressions of scalar types.

use super::program::{Gen, Scope};
use super::types::{INT, INTS, Ty};

impl Gen<'_> {
    pub fn int_expr(&mut self, kind: usize, scope: &Scope, depth: usize) -> String {
        let (name, suffix, _, signed) = INTS[kind];
        let ty = Ty::Int(kind);
        let d = depth - 1;
        match self.random.below(if kind == 0 { 26 } else { 11 }) {
            0..=3 => {
                let op = *self.random.pick(&["+", "-", "*", "+", "-", "&&&", "|||", "^^^"]);
                self.binary(&ty, op, scope, d)
            }
            4 => {
                let op = *self.random.pick(&["/", "%"]);
                let (a, b) = (self.expr(&ty, scope, d), self.expr(&ty, scope, d));
                if self.random.chance(4) {
                    format!("({a} {op} {b})")
                } else {
                    format!("({a} {op} ({b} ||| 1{suffix}))")
                }
            }
            5 => {
                let op = *self.random.pick(&["<<<", ">>>"]);
                let (a, b) = (self.expr(&ty, scope, d), self.expr(&INT, scope, d));
                let mask = *self.random.pick(&[7, 15, 31, 63]);
                format!("({a} {op} ({b} &&& {mask}))")
            }
            6 if signed => format!("(-{})", self.expr(&ty, scope, d)),
            6 => format!("(~~~{})", self.expr(&ty, scope, d)),
            7 => {
                let from = Ty::Int(self.random.below(INTS.len()));
                format!("({name} {})", self.expr(&from, scope, d))
            }
            8 if signed => format!("(abs ({} / 2{suffix}))", self.expr(&ty, scope, d)),
            8 | 9 => {
                let op = *self.random.pick(&["min", "max"]);
                format!("({op} {} {})", self.expr(&ty, scope, d), self.expr(&ty, scope, d))
            }
            10 => {
                let from = self.random.pick(&[Ty::Float, Ty::Float32, Ty::Kilos]).clone();
                format!("({name} {})", self.expr(&from, scope, d))
            }
            _ => self.plain_int(scope, d),
        }
    }

    /// What only `int` comes from: lengths, sums, codes.
    fn plain_int(&mut self, scope: &Scope, d: usize) -> String {
        match self.random.below(15) {
            0 => format!("{}.Length", self.expr(&Ty::Str, scope, d)),
            1 => {
                let of = self.some_type(1);
                format!("(List.length {})", self.expr(&Ty::List(Box::new(of)), scope, d))
            }
            2 => {
                let of = self.some_type(1);
                format!("{}.Length", self.expr(&Ty::Array(Box::new(of)), scope, d))
            }
            3 => format!("(List.sum {})", self.expr(&Ty::List(Box::new(INT)), scope, d)),
            4 => format!("(int {})", self.expr(&Ty::Char, scope, d)),
            5 => {
                let of = self.plain_type(1);
                format!("(compare {} {})", self.expr(&of, scope, d), self.expr(&of, scope, d))
            }
            6 => {
                let of = self.plain_type(1);
                format!("(hash {} &&& 0xffff)", self.expr(&of, scope, d))
            }
            7 => {
                let of = self.some_type(1);
                let f = self.lambda(&[INT, of.clone()], &INT, scope, d);
                let start = self.expr(&INT, scope, d);
                let list = self.random.chance(50);
                let module = if list { "List" } else { "Array" };
                let of = Box::new(of);
                let items = self.expr(&if list { Ty::List(of) } else { Ty::Array(of) }, scope, d);
                format!("({module}.fold {f} {start} {items})")
            }
            8 => format!("(sumTo ({} &&& 255) {})", self.expr(&INT, scope, d), self.expr(&INT, scope, d)),
            9 => {
                let f = self.lambda(&[INT], &INT, scope, d);
                format!("(twice {f} {})", self.expr(&INT, scope, d))
            }
            10 => {
                let (a, b, c) =
                    (self.expr(&INT, scope, d), self.expr(&INT, scope, d), self.expr(&INT, scope, d));
                format!("(add3 {a} {b} {c})")
            }
            11 => format!("(int {})", self.expr(&Ty::Colour, scope, d)),
            12 => format!("(pown {} {})", self.expr(&INT, scope, d), self.random.below(6)),
            13 => {
                let key = self.key_type();
                let of = self.some_type(1);
                format!("(Map.count {})", self.expr(&Ty::Map(Box::new(key), Box::new(of)), scope, d))
            }
            _ => {
                let key = self.key_type();
                format!("(Set.count {})", self.expr(&Ty::Set(Box::new(key)), scope, d))
            }
        }
    }

    pub fn binary(&mut self, ty: &Ty, op: &str, scope: &Scope, d: usize) -> String {
        let (a, b) = (self.expr(ty, scope, d), self.expr(ty, scope, d));
        format!("({a} {op} {b})")
    }

    pub fn float_expr(&mut self, ty: &Ty, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        let name = if *ty == Ty::Float { "float" } else { "float32" };
        match self.random.below(12) {
            0..=4 => {
                let op = *self.random.pick(&["+", "-", "*", "/"]);
                self.binary(ty, op, scope, d)
            }
            5 => {
                let f = *self.random.pick(&["sqrt", "abs", "floor", "ceil", "round", "truncate"]);
                format!("({f} {})", self.expr(ty, scope, d))
            }
            6 => {
                let op = *self.random.pick(&["min", "max"]);
                format!("({op} {} {})", self.expr(ty, scope, d), self.expr(ty, scope, d))
            }
            7 | 8 => {
                let from = Ty::Int(self.random.below(INTS.len()));
                format!("({name} {})", self.expr(&from, scope, d))
            }
            9 => {
                let from = if *ty == Ty::Float { Ty::Float32 } else { Ty::Float };
                format!("({name} {})", self.expr(&from, scope, d))
            }
            10 if *ty == Ty::Float => {
                let from = self.random.pick(&[Ty::Metres, Ty::Kilos]).clone();
                format!("(float {})", self.expr(&from, scope, d))
            }
            10 => format!("(-{})", self.expr(ty, scope, d)),
            _ if *ty == Ty::Float => {
                let f = *self.random.pick(&["sin", "cos", "exp", "log", "atan"]);
                format!("({f} {})", self.expr(ty, scope, d))
            }
            _ => format!("({} % 7.5f)", self.expr(ty, scope, d)),
        }
    }

    pub fn metres_expr(&mut self, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        match self.random.below(5) {
            0 | 1 => {
                let op = *self.random.pick(&["+", "-"]);
                self.binary(&Ty::Metres, op, scope, d)
            }
            2 => format!("({} * {})", self.expr(&Ty::Metres, scope, d), self.expr(&Ty::Float, scope, d)),
            3 => format!(
                "(sqrt ({} * {}))",
                self.expr(&Ty::Metres, scope, d),
                self.expr(&Ty::Metres, scope, d)
            ),
            _ => format!("({} * 1.0<m>)", self.expr(&Ty::Float, scope, d)),
        }
    }

    pub fn kilos_expr(&mut self, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        match self.random.below(3) {
            0 => {
                let op = *self.random.pick(&["+", "-"]);
                self.binary(&Ty::Kilos, op, scope, d)
            }
            1 => format!("({} * {})", self.expr(&INT, scope, d), self.expr(&Ty::Kilos, scope, d)),
            _ => format!("({} * 1<kg>)", self.expr(&INT, scope, d)),
        }
    }

    pub fn bool_expr(&mut self, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        match self.random.below(13) {
            0..=3 => {
                let of = self.plain_type(0);
                let op = *self.random.pick(&["=", "<>", "<", "<=", ">", ">="]);
                self.binary(&of, op, scope, d)
            }
            4 | 5 => {
                let of = self.plain_type(2);
                let op = *self.random.pick(&["=", "<>", "<", ">="]);
                self.binary(&of, op, scope, d)
            }
            6 | 7 => {
                let op = *self.random.pick(&["&&", "||"]);
                self.binary(&Ty::Bool, op, scope, d)
            }
            8 => format!("(not {})", self.expr(&Ty::Bool, scope, d)),
            9 => {
                let of = self.some_type(1);
                let f = self.lambda(&[of.clone()], &Ty::Bool, scope, d);
                let op = *self.random.pick(&["exists", "forall"]);
                format!("(List.{op} {f} {})", self.expr(&Ty::List(Box::new(of)), scope, d))
            }
            10 => {
                let of = self.some_type(1);
                format!("(Option.isSome {})", self.expr(&Ty::Opt(Box::new(of)), scope, d))
            }
            11 => format!("(isEven ({} &&& 63))", self.expr(&INT, scope, d)),
            _ => {
                let op = *self.random.pick(&["Contains", "StartsWith", "EndsWith"]);
                format!("({}.{op} {})", self.expr(&Ty::Str, scope, d), self.expr(&Ty::Str, scope, d))
            }
        }
    }

    pub fn char_expr(&mut self, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        match self.random.below(3) {
            0 => format!("(letter {})", self.expr(&INT, scope, d)),
            1 => format!("(Char.ToUpper {})", self.expr(&Ty::Char, scope, d)),
            _ => format!("(max {} {})", self.expr(&Ty::Char, scope, d), self.expr(&Ty::Char, scope, d)),
        }
    }

    pub fn str_expr(&mut self, scope: &Scope, depth: usize) -> String {
        let d = depth - 1;
        match self.random.below(16) {
            0..=2 => self.binary(&Ty::Str, "+", scope, d),
            3 | 4 => {
                let of = self.text_type();
                format!("(string {})", self.expr(&of, scope, d))
            }
            5 | 6 => self.sprintf(scope, d),
            7 | 8 => self.interpolated(scope, d),
            9 => {
                let (call, _) = *self.random.pick(&[
                    (".ToUpper ()", 0),
                    (".Trim ()", 0),
                    (".ToLower ()", 0),
                    (".PadLeft 5", 0),
                    (".PadRight (4, '*')", 0),
                    (".Replace (\"a\", \"bb\")", 0),
                ]);
                format!("({}{call})", self.expr(&Ty::Str, scope, d))
            }
            10 => {
                let list = self.expr(&Ty::List(Box::new(Ty::Str)), scope, d);
                format!("(cut (String.concat \", \" {list}))")
            }
            11 => format!(
                "(String.replicate ({} &&& 3) {})",
                self.expr(&INT, scope, d),
                self.expr(&Ty::Str, scope, d)
            ),
            12 => {
                let f = self.lambda(&[Ty::Char], &Ty::Char, scope, d);
                format!("(String.map {f} {})", self.expr(&Ty::Str, scope, d))
            }
            13 => format!("(string {})", self.expr(&Ty::Char, scope, d)),
            14 => format!("(cut ({} + {}))", self.expr(&Ty::Str, scope, d), self.expr(&Ty::Str, scope, d)),
            _ => {
                let of = self.plain_type(2);
                format!("(sprintf \"%A\" {})", self.expr(&of, scope, d))
            }
        }
    }

    /// A type whose values `string` takes.
    fn text_type(&mut self) -> Ty {
        match self.random.below(5) {
            0 | 1 => Ty::Int(self.random.below(INTS.len())),
            2 => self.random.pick(&[Ty::Float, Ty::Float32]).clone(),
            3 => Ty::Bool,
            _ => Ty::Str,
        }
    }

    fn sprintf(&mut self, scope: &Scope, d: usize) -> String {
        let mut format = String::new();
        let mut arguments = String::new();
        for _ in 0..self.random.between(1, 3) {
            let of = self.plain_type(1);
            format += self.format(&of);
            format += *self.random.pick(&[" ", ";", "%%", ""]);
            arguments += " ";
            arguments += &self.expr(&of, scope, d);
        }
        format!("(sprintf \"{format}\"{arguments})")
    }

    fn interpolated(&mut self, scope: &Scope, d: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.random.between(1, 3) {
            let of = self.text_type();
            // Quotes and braces inside a hole would need escapes: names only, or simple literals.
            let name = scope.vars.iter().rev().find(|v| v.ty == of).map(|v| v.name.clone());
            match name {
                Some(name) => text += &format!("{{{name}}} "),
                None => text += &format!("{{{} + 1}}-", self.random.below(9)),
            }
        }
        let _ = d;
        format!("$\"{text}\"")
    }

    /// The format that shows a value of the type.
    pub fn format(&mut self, ty: &Ty) -> &'static str {
        match ty {
            Ty::Int(_) => *self.random.pick(&["%d", "%d", "%5d", "%-6d|", "%x", "%A", "%i", "%X", "%o"]),
            Ty::Float => *self.random.pick(&["%g", "%.3f", "%e", "%A", "%f", "%10.2f", "%.17g"]),
            Ty::Float32 => *self.random.pick(&["%g", "%.3f", "%A", "%f"]),
            Ty::Bool => *self.random.pick(&["%b", "%A"]),
            Ty::Char => *self.random.pick(&["%c", "%A"]),
            Ty::Str => *self.random.pick(&["%s", "%s", "%8s", "%-8s|", "%A"]),
            _ => "%A",
        }
    }
}
