//! Types as written: names, arguments, units, type variables.

use super::env::TypeEntry;
use super::types::{Ty, atom, times};
use super::{Checker, env};
use crate::ast::{
    self, FloatKind, IntKind, MeasureExpr, MeasureKind, TypeArg as SrcArg, TypeExpr, TypeExprKind,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{Hint, Measure, MeasureAtom, ParamKind, Type, TypeArg, TypeDefKind, TypeParamDef};
use smallvec::SmallVec;
use ustr::Ustr;

/// What a type variable of an annotation stands for in the current definition.
#[derive(Clone, Debug)]
pub(crate) enum NamedVar {
    Type(Ty),
    Measure(Measure),
}

#[derive(Clone, Debug)]
pub(crate) struct Abbreviation {
    pub params: Vec<TypeParamDef>,
    pub ty: Ty,
}

pub(crate) const BUILTIN_TYPES: &[&str] = &[
    "unit",
    "bool",
    "char",
    "string",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "sbyte",
    "byte",
    "uint8",
    "uint16",
    "uint",
    "uint32",
    "uint64",
    "nativeint",
    "unativeint",
    "float",
    "double",
    "float64",
    "float32",
    "single",
    "float16",
    "bfloat16",
    "array",
    "nativeptr",
];

pub(crate) fn int_kind(name: &str) -> Option<IntKind> {
    Some(match name {
        "int" | "int32" => IntKind::I32,
        "int8" | "sbyte" => IntKind::I8,
        "byte" | "uint8" => IntKind::U8,
        "int16" => IntKind::I16,
        "uint16" => IntKind::U16,
        "uint" | "uint32" => IntKind::U32,
        "int64" => IntKind::I64,
        "uint64" => IntKind::U64,
        "nativeint" => IntKind::ISize,
        "unativeint" => IntKind::USize,
        _ => return None,
    })
}

pub(crate) fn float_kind(name: &str) -> Option<FloatKind> {
    Some(match name {
        "float" | "double" | "float64" => FloatKind::F64,
        "float32" | "single" => FloatKind::F32,
        "float16" => FloatKind::F16,
        "bfloat16" => FloatKind::BF16,
        _ => return None,
    })
}

impl Checker<'_> {
    pub(crate) fn type_expr(&mut self, t: &TypeExpr) -> Ty {
        let known = self.types.known;
        match &t.kind {
            TypeExprKind::Var(name) => match self.named_var(*name, false) {
                NamedVar::Type(ty) => ty,
                NamedVar::Measure(_) => {
                    self.diags.push(
                        Diagnostic::error(
                            codes::BAD_TYPE_ARGUMENT,
                            t.span,
                            format!("`'{name}` is a unit of measure, but a type is needed here"),
                        )
                        .help(format!("write a number type with this unit, such as `float<'{name}>`")),
                    );
                    known.error
                }
            },
            TypeExprKind::Wildcard => self.types.fresh(),
            TypeExprKind::Named { path, args } => self.named_type(path, args, t.span),
            TypeExprKind::Tuple(items) => {
                let items = items.iter().map(|i| self.type_expr(i)).collect();
                self.types.make(Type::Tuple(items))
            }
            TypeExprKind::Fun(a, b) => {
                let (a, b) = (self.type_expr(a), self.type_expr(b));
                self.types.fun(a, b)
            }
            TypeExprKind::Array(e) => {
                let e = self.type_expr(e);
                self.types.make(Type::Array(e))
            }
            TypeExprKind::AnonRecord(fields) => {
                let mut fields: Vec<(Ustr, Ty)> =
                    fields.iter().map(|(n, t)| (n.name, self.type_expr(t))).collect();
                fields.sort_by_key(|f| f.0.as_str());
                self.types.make(Type::AnonRecord(fields))
            }
            TypeExprKind::Error => known.error,
        }
    }

    fn named_type(&mut self, path: &ast::Path, args: &[SrcArg], span: Span) -> Ty {
        if let [only] = path.parts.as_slice()
            && let Some(ty) = self.builtin_type(only.name, args, span)
        {
            return ty;
        }
        let Some(entry) = self.find_path_type(&path.parts) else {
            self.unknown_type(path);
            return self.types.known.error;
        };
        let params: Vec<TypeParamDef> = match entry {
            TypeEntry::Def(d) => self.type_defs[d.index()].params.clone(),
            TypeEntry::Abbreviation(a) => self.abbreviations[a as usize].params.clone(),
        };
        let Some(args) = self.type_args(path, &params, args, span) else { return self.types.known.error };
        match entry {
            TypeEntry::Def(d) => {
                if matches!(self.type_defs[d.index()].kind, TypeDefKind::Measure) {
                    let name = env::show_path(path);
                    self.diags.push(
                        Diagnostic::error(
                            codes::BAD_TYPE_ARGUMENT,
                            span,
                            format!("`{name}` is a unit of measure, not a type"),
                        )
                        .help(format!("write a number type with this unit, such as `float<{name}>`")),
                    );
                    return self.types.known.error;
                }
                self.types.make(Type::Named(d, SmallVec::from_vec(args)))
            }
            TypeEntry::Abbreviation(a) => {
                let ty = self.abbreviations[a as usize].ty;
                self.types.instantiate(ty, &args)
            }
        }
    }

    /// Written arguments for declared parameters; `None` with an error where the number is wrong. No arguments for a
    /// generic type means all are inferred.
    fn type_args(
        &mut self,
        path: &ast::Path,
        params: &[TypeParamDef],
        args: &[SrcArg],
        span: Span,
    ) -> Option<Vec<TypeArg>> {
        // A hint may be left out, and agents with it.
        let hidden = params.iter().filter(|p| p.kind.is_hidden()).count();
        let fits = args.len() <= params.len() && args.len() + hidden >= params.len();
        if !fits {
            let name = env::show_path(path);
            let (n, m) = (params.len() - hidden, args.len());
            let wants = match n {
                0 => "takes no type arguments".to_owned(),
                1 => "takes one type argument".to_owned(),
                n => format!("takes {n} type arguments"),
            };
            let mut d = Diagnostic::error(
                codes::TYPE_ARGUMENTS,
                span,
                format!("`{name}` {wants}, but {m} are given"),
            );
            if m == 0 {
                let vars = params
                    .iter()
                    .filter(|p| !p.kind.is_hidden())
                    .map(|p| format!("'{}", p.name))
                    .collect::<Vec<_>>()
                    .join(", ");
                d = d.help(format!(
                    "write `{name}<{vars}>` with types in place of the variables, or with `_`"
                ));
            }
            self.diags.push(d);
            return None;
        }
        let mut out: Vec<TypeArg> = params.iter().zip(args).map(|(p, a)| self.type_arg(p.kind, a)).collect();
        out.extend(params[args.len()..].iter().map(|_| TypeArg::Hint(self.inferred_hint())));
        Some(out)
    }

    /// The hint of a type that says none: inferred in a body, every one in a declaration.
    fn inferred_hint(&mut self) -> Hint {
        if self.cx.rigid || self.cx.declares { Hint::Unknown } else { self.types.hints.fresh() }
    }

    /// `PreferGPU` or `_` in a buffer's type.
    fn hint_arg(&mut self, arg: &SrcArg) -> Hint {
        let (path, span) = match arg {
            SrcArg::Type(TypeExpr { kind: TypeExprKind::Wildcard, .. }) => return self.inferred_hint(),
            SrcArg::Type(TypeExpr { kind: TypeExprKind::Named { path, args }, span }) if args.is_empty() => {
                (Some(path), *span)
            }
            SrcArg::Measure(m) => match &m.kind {
                MeasureKind::Wildcard => return self.inferred_hint(),
                MeasureKind::Named(path) => (Some(path), m.span),
                _ => (None, m.span),
            },
            SrcArg::Type(t) => (None, t.span),
        };
        if let Some(name) = path.and_then(|p| p.parts.last()).map(|last| last.name)
            && super::hints::NAMES.contains(&name.as_str())
        {
            return Hint::Written(name);
        }
        let names = super::hints::NAMES.map(|n| format!("`{n}`")).join(", ");
        self.diags.push(
            Diagnostic::error(codes::BAD_TYPE_ARGUMENT, span, "a residency hint is needed here")
                .here("not a hint")
                .help(format!("write one of {names}, or `_`, or leave it out")),
        );
        Hint::Unknown
    }

    /// `_` in the place of a buffer's agents, which are only inferred.
    fn agents_arg(&mut self, arg: &SrcArg) -> Hint {
        let span = match arg {
            SrcArg::Type(TypeExpr { kind: TypeExprKind::Wildcard, .. }) => return self.inferred_hint(),
            SrcArg::Measure(m) if matches!(m.kind, MeasureKind::Wildcard) => return self.inferred_hint(),
            SrcArg::Measure(m) => m.span,
            SrcArg::Type(t) => t.span,
        };
        self.diags.push(
            Diagnostic::error(
                codes::BAD_TYPE_ARGUMENT,
                span,
                "the agents of a buffer are not written in its type",
            )
            .here("the allocation says which they are")
            .help("leave this argument out, or write `_`"),
        );
        Hint::Unknown
    }

    /// One written argument for a parameter of a kind.
    pub(crate) fn type_arg(&mut self, kind: ParamKind, arg: &SrcArg) -> TypeArg {
        match (kind, arg) {
            (ParamKind::Measure, arg) => TypeArg::Measure(self.measure_arg(arg)),
            (ParamKind::Hint, arg) => TypeArg::Hint(self.hint_arg(arg)),
            (ParamKind::Agents, arg) => TypeArg::Hint(self.agents_arg(arg)),
            (_, SrcArg::Type(t)) => TypeArg::Type(self.type_expr(t)),
            (_, SrcArg::Measure(m)) => {
                if let Some(ty) = self.measure_as_type(m) {
                    return TypeArg::Type(ty);
                }
                self.diags.push(Diagnostic::error(
                    codes::BAD_TYPE_ARGUMENT,
                    m.span,
                    "a type is needed here, but this is a unit of measure",
                ));
                TypeArg::Type(self.types.known.error)
            }
        }
    }

    /// The parser may read a lone name or variable as a unit; in a type's place it is a type.
    fn measure_as_type(&mut self, m: &MeasureExpr) -> Option<Ty> {
        let kind = match &m.kind {
            MeasureKind::Named(path) => TypeExprKind::Named { path: path.clone(), args: Vec::new() },
            MeasureKind::Var(v) => TypeExprKind::Var(*v),
            MeasureKind::Wildcard => TypeExprKind::Wildcard,
            _ => return None,
        };
        Some(self.type_expr(&TypeExpr { kind, span: m.span }))
    }

    fn measure_arg(&mut self, arg: &SrcArg) -> Measure {
        match arg {
            SrcArg::Measure(m) => self.measure(m),
            SrcArg::Type(t) => match &t.kind {
                TypeExprKind::Named { path, args } if args.is_empty() => self.measure_name(path, t.span),
                TypeExprKind::Var(name) => self.measure_var(*name, t.span),
                TypeExprKind::Wildcard => self.types.fresh_measure(false),
                TypeExprKind::Error => Measure::default(),
                _ => {
                    self.diags.push(Diagnostic::error(
                        codes::BAD_TYPE_ARGUMENT,
                        t.span,
                        "a unit of measure is needed here, but this is a type",
                    ));
                    Measure::default()
                }
            },
        }
    }

    fn builtin_type(&mut self, name: Ustr, args: &[SrcArg], span: Span) -> Option<Ty> {
        let known = self.types.known;
        let text = name.as_str();
        if let Some(kind) = int_kind(text) {
            let m = self.number_measure(text, args, span);
            return Some(self.types.make(Type::Int(kind, m)));
        }
        if let Some(kind) = float_kind(text) {
            let m = self.number_measure(text, args, span);
            return Some(self.types.make(Type::Float(kind, m)));
        }
        let plain = match text {
            "unit" => known.unit,
            "bool" => known.bool,
            "char" => known.char,
            "string" => known.string,
            "array" | "nativeptr" => {
                let [arg] = args else {
                    self.diags.push(Diagnostic::error(
                        codes::TYPE_ARGUMENTS,
                        span,
                        format!("`{text}` takes one type argument, but {} are given", args.len()),
                    ));
                    return Some(known.error);
                };
                let TypeArg::Type(e) = self.type_arg(ParamKind::Type, arg) else { return Some(known.error) };
                let ty = if text == "array" { Type::Array(e) } else { Type::NativePtr(e) };
                return Some(self.types.make(ty));
            }
            "List" if self.find_type(name).is_none() => {
                let list = self.core.list?;
                let [arg] = args else { return None };
                let arg = self.type_arg(ParamKind::Type, arg);
                return Some(self.types.make(Type::Named(list, SmallVec::from_vec(vec![arg]))));
            }
            "obj" | "exn" | "decimal" | "bigint" if self.find_type(name).is_none() => {
                self.diags.push(
                    Diagnostic::error(
                        codes::OUTSIDE_SUBSET,
                        span,
                        format!("the type `{text}` is outside the subset"),
                    )
                    .help("use a type parameter, a union, or a number type of fixed width"),
                );
                return Some(known.error);
            }
            _ => return None,
        };
        if !args.is_empty() {
            self.diags.push(Diagnostic::error(
                codes::TYPE_ARGUMENTS,
                span,
                format!("`{text}` takes no type arguments, but {} are given", args.len()),
            ));
            return Some(known.error);
        }
        Some(plain)
    }

    fn number_measure(&mut self, name: &str, args: &[SrcArg], span: Span) -> Measure {
        match args {
            [] => Measure::default(),
            [arg] => self.measure_arg(arg),
            _ => {
                let text =
                    format!("`{name}` takes one unit of measure, but {} arguments are given", args.len());
                self.diags.push(
                    Diagnostic::error(codes::TYPE_ARGUMENTS, span, text)
                        .help("write a product: `float<kg m>`"),
                );
                Measure::default()
            }
        }
    }

    pub(crate) fn measure(&mut self, m: &MeasureExpr) -> Measure {
        match &m.kind {
            MeasureKind::One | MeasureKind::Error => Measure::default(),
            MeasureKind::Named(path) => self.measure_name(path, m.span),
            MeasureKind::Var(name) => self.measure_var(*name, m.span),
            MeasureKind::Wildcard => self.types.fresh_measure(false),
            MeasureKind::Mul(a, b) => {
                let (a, b) = (self.measure(a), self.measure(b));
                times(&a, &b, 1)
            }
            MeasureKind::Div(a, b) => {
                let (a, b) = (self.measure(a), self.measure(b));
                times(&a, &b, -1)
            }
            MeasureKind::Pow(a, n) => {
                let a = self.measure(a);
                times(&Measure::default(), &a, *n)
            }
        }
    }

    fn measure_name(&mut self, path: &ast::Path, span: Span) -> Measure {
        match self.find_path_type(&path.parts) {
            Some(TypeEntry::Def(d)) if matches!(self.type_defs[d.index()].kind, TypeDefKind::Measure) => {
                match &self.type_info[d.index()].measure {
                    Some(m) => m.clone(),
                    None if self.type_info[d.index()].broken_measure => self.types.fresh_measure(true),
                    None => atom(MeasureAtom::Base(d)),
                }
            }
            Some(_) => {
                let name = env::show_path(path);
                self.diags.push(
                    Diagnostic::error(
                        codes::BAD_TYPE_ARGUMENT,
                        span,
                        format!("`{name}` is a type, but a unit of measure is needed here"),
                    )
                    .help(format!("declare a unit with `[<Measure>] type {name}`")),
                );
                Measure::default()
            }
            None => {
                self.unknown_type(path);
                self.types.fresh_measure(true)
            }
        }
    }

    fn measure_var(&mut self, name: Ustr, span: Span) -> Measure {
        match self.named_var(name, true) {
            NamedVar::Measure(m) => m,
            NamedVar::Type(_) => {
                self.diags.push(
                    Diagnostic::error(
                        codes::BAD_TYPE_ARGUMENT,
                        span,
                        format!("`'{name}` is a type variable, but a unit of measure is needed here"),
                    )
                    .help(format!("declare it as `[<Measure>] '{name}`")),
                );
                Measure::default()
            }
        }
    }

    /// A type variable by name: an earlier one of the definition, else a new one.
    fn named_var(&mut self, name: Ustr, is_measure: bool) -> NamedVar {
        if let Some(v) = self.cx.type_vars.get(&name) {
            return v.clone();
        }
        let var = if self.cx.rigid {
            self.new_param(name, is_measure)
        } else {
            let saved = std::mem::replace(&mut self.types.level, 1);
            let var = if is_measure {
                NamedVar::Measure(self.types.fresh_measure(false))
            } else {
                NamedVar::Type(self.types.fresh())
            };
            self.types.level = saved;
            var
        };
        self.cx.type_vars.insert(name, var.clone());
        var
    }

    /// Adds a type parameter to the current definition.
    pub(crate) fn new_param(&mut self, name: Ustr, is_measure: bool) -> NamedVar {
        let n = self.cx.params.len() as u32;
        let kind = if is_measure { ParamKind::Measure } else { ParamKind::Type };
        self.cx.params.push(TypeParamDef { name, kind });
        if is_measure {
            NamedVar::Measure(atom(MeasureAtom::Param(n)))
        } else {
            NamedVar::Type(self.types.intern(Type::Param(n)))
        }
    }

    /// Declares `<'T, [<Measure>] 'u>`.
    pub(crate) fn declare_params(&mut self, params: &[ast::TypeParam]) {
        for p in params {
            if self.cx.params.iter().any(|q| q.name == p.name.name) {
                self.diags.push(Diagnostic::error(
                    codes::DUPLICATE,
                    p.name.span,
                    format!("the type parameter `'{}` is declared twice", p.name.name),
                ));
            }
            let var = self.new_param(p.name.name, p.is_measure);
            self.cx.type_vars.insert(p.name.name, var);
        }
    }

    /// Fresh arguments for parameters.
    pub(crate) fn fresh_args(&mut self, params: &[TypeParamDef]) -> Vec<TypeArg> {
        params
            .iter()
            .map(|p| match p.kind {
                ParamKind::Measure => TypeArg::Measure(self.types.fresh_measure(false)),
                ParamKind::Hint | ParamKind::Agents => TypeArg::Hint(self.types.hints.fresh()),
                ParamKind::Type => TypeArg::Type(self.types.fresh()),
            })
            .collect()
    }

    /// A definition's own parameters as arguments.
    pub(crate) fn own_args(&mut self, params: &[TypeParamDef]) -> Vec<TypeArg> {
        let mut args = Vec::with_capacity(params.len());
        for (n, p) in params.iter().enumerate() {
            args.push(match p.kind {
                ParamKind::Measure => TypeArg::Measure(atom(MeasureAtom::Param(n as u32))),
                ParamKind::Hint | ParamKind::Agents => TypeArg::Hint(Hint::Unknown),
                ParamKind::Type => TypeArg::Type(self.types.intern(Type::Param(n as u32))),
            });
        }
        args
    }
}
