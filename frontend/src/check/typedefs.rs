//! Type definitions: a group is declared by name first, then abbreviations, then fields and cases, then members.

use super::env::TypeEntry;
use super::{Checker, Cx, MemberInfo, TypeInfo, Value};
use crate::ast::{self, ExprKind as E, Lit};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::typed::{Case, Field, MeasureAtom, ParamKind, TypeDef, TypeDefId, TypeDefKind, TypeParamDef};
use rustc_hash::FxHashMap;
use ustr::Ustr;

/// Elements of the longest array that may lie in a struct.
const MAX_FIXED_ARRAY: u32 = 1 << 20;

impl<'a> Checker<'a> {
    /// Declares a group of types with cases and fields; members are declared, but not checked.
    pub(crate) fn declare_types(&mut self, group: &'a [ast::TypeDef]) -> Vec<Option<TypeDefId>> {
        let saved = std::mem::take(&mut self.cx);
        let mut ids: Vec<Option<TypeDefId>> = group.iter().map(|d| self.declare_name(d)).collect();
        for (id, def) in ids.iter_mut().zip(group) {
            if let ast::TypeDefKind::Abbreviation(target) = &def.kind {
                self.declare_abbreviation(def, target);
            } else if let (Some(id), ast::TypeDefKind::Measure(Some(formula))) = (*id, &def.kind) {
                let m = self.measure(formula);
                // A formula that had an error, or a variable, has no meaning that outlives this declaration.
                let open = m.factors.iter().any(|(a, _)| matches!(a, MeasureAtom::Param(_)));
                self.type_info[id.index()].broken_measure = open;
                self.type_info[id.index()].measure = (!open).then_some(m);
            }
        }
        for (id, def) in ids.iter().zip(group) {
            if let Some(id) = *id {
                self.declare_contents(id, def);
            }
        }
        self.cx = saved;
        ids
    }

    fn declare_name(&mut self, def: &ast::TypeDef) -> Option<TypeDefId> {
        let kind = match &def.kind {
            ast::TypeDefKind::Abbreviation(_) => return None,
            ast::TypeDefKind::Record(_) => TypeDefKind::Record(Vec::new()),
            ast::TypeDefKind::Union(_) => TypeDefKind::Union(Vec::new()),
            ast::TypeDefKind::Enum(_) => TypeDefKind::Enum(Vec::new()),
            ast::TypeDefKind::Class { .. } => TypeDefKind::Class(Vec::new()),
            ast::TypeDefKind::Measure(_) => TypeDefKind::Measure,
            ast::TypeDefKind::Error(_) => {
                // The parser has said what is wrong. Uses of the name are not errors of their own.
                let index = self.abbreviations.len() as u32;
                let params = params_of(def);
                let ty = self.types.known.error;
                self.abbreviations.push(super::tyexpr::Abbreviation { params, ty });
                self.add_type(def, TypeEntry::Abbreviation(index));
                return None;
            }
        };
        let id = TypeDefId(self.type_defs.len() as u32);
        let path = self.qualified(def.name.name);
        let mut params = params_of(def);
        if path == "BAREWire.HSA.UnifiedBuffer" {
            params.push(TypeParamDef { name: Ustr::from("hint"), kind: ParamKind::Hint });
            params.push(TypeParamDef { name: Ustr::from("agents"), kind: ParamKind::Agents });
        }
        self.type_defs.push(TypeDef {
            path,
            name: def.name.name,
            params,
            kind,
            members: Vec::new(),
            span: def.name.span,
            is_struct: self.has_attribute(&def.attributes, "Struct"),
            doc: def.doc.clone(),
        });
        self.type_info.push(TypeInfo::default());
        self.add_type(def, TypeEntry::Def(id));
        Some(id)
    }

    fn add_type(&mut self, def: &ast::TypeDef, entry: TypeEntry) {
        let name = def.name.name;
        if let Some(old) = self.module_mut().types.insert(name, entry) {
            let mut d = Diagnostic::error(
                codes::DUPLICATE,
                def.name.span,
                format!("the type `{name}` is defined twice"),
            );
            if let TypeEntry::Def(old) = old {
                d = d.label(self.type_defs[old.index()].span, "first defined here");
            }
            self.diags.push(d);
        }
    }

    fn declare_abbreviation(&mut self, def: &ast::TypeDef, target: &ast::TypeExpr) {
        self.cx = Cx { declares: true, ..Cx::default() };
        self.declare_params(&def.params);
        let ty = self.type_expr(target);
        let ty = self.types.zonk(ty);
        let params = std::mem::take(&mut self.cx.params);
        let index = self.abbreviations.len() as u32;
        self.abbreviations.push(super::tyexpr::Abbreviation { params, ty });
        self.add_type(def, TypeEntry::Abbreviation(index));
        if !def.members.is_empty() {
            self.diags.push(
                Diagnostic::error(
                    codes::OUTSIDE_SUBSET,
                    def.name.span,
                    format!("the abbreviation `{}` cannot have members", def.name.name),
                )
                .help("put functions in a module of this name"),
            );
        }
    }

    fn declare_contents(&mut self, id: TypeDefId, def: &'a ast::TypeDef) {
        self.cx = Cx { declares: true, ..Cx::default() };
        self.declare_params(&def.params);
        let declared = self.cx.params.len();
        match &def.kind {
            ast::TypeDefKind::Record(fields) => self.declare_record(id, fields),
            ast::TypeDefKind::Union(cases) => self.declare_union(id, cases),
            ast::TypeDefKind::Enum(cases) => self.declare_enum(id, cases),
            _ => {}
        }
        let mut undeclared: Vec<Ustr> = self.cx.type_vars.keys().copied().collect();
        undeclared.retain(|n| !self.cx.params[..declared].iter().any(|p| p.name == *n));
        undeclared.sort_by_key(|n| n.as_str());
        for name in undeclared {
            let type_name = def.name.name;
            self.diags.push(
                Diagnostic::error(
                    codes::UNKNOWN_TYPE,
                    def.name.span,
                    format!("the type variable `'{name}` is not declared"),
                )
                .help(format!("declare it: `type {type_name}<'{name}> = ..`")),
            );
        }
    }

    fn declare_record(&mut self, id: TypeDefId, fields: &[ast::FieldDef]) {
        let mut out: Vec<Field> = Vec::with_capacity(fields.len());
        for f in fields {
            let ty = self.type_expr(&f.ty);
            let ty = self.types.zonk(ty);
            if out.iter().any(|o| o.name == f.name.name) {
                self.diags.push(Diagnostic::error(
                    codes::DUPLICATE,
                    f.name.span,
                    format!("the field `{}` is declared twice", f.name.name),
                ));
            }
            let index = out.len() as u32;
            self.module_mut().fields.entry(f.name.name).or_default().push((id, index));
            let fixed = self.fixed_array(f, ty);
            out.push(Field { name: f.name.name, ty, is_mutable: f.is_mutable, fixed });
        }
        self.type_info[id.index()].by_name =
            out.iter().enumerate().map(|(i, f)| (f.name, i as u32)).collect::<FxHashMap<_, _>>();
        self.type_defs[id.index()].kind = TypeDefKind::Record(out);
    }

    /// The length in `[<FixedArray(n)>]`, where a field has it.
    fn fixed_array(&mut self, field: &ast::FieldDef, ty: super::types::Ty) -> Option<u32> {
        let attribute = self.attribute(&field.attributes, "FixedArray")?;
        let span = attribute.span;
        let length = attribute.args.first().and_then(|a| constant_int(&a.value));
        let length = length.and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MAX_FIXED_ARRAY).contains(n));
        let is_array = self.types.is_array(ty);
        if length.is_none() || !is_array {
            let what = if is_array {
                format!("`FixedArray` needs the number of elements, from 1 to {MAX_FIXED_ARRAY}")
            } else {
                format!("the field `{}` is no array, so it cannot be a `FixedArray`", field.name.name)
            };
            self.diags.push(
                Diagnostic::error(codes::BAD_FIXED_ARRAY, span, what)
                    .help("write `[<FixedArray(16)>] Name: byte[]`"),
            );
            return None;
        }
        length
    }

    fn declare_union(&mut self, id: TypeDefId, cases: &[ast::CaseDef]) {
        let mut out: Vec<Case> = Vec::with_capacity(cases.len());
        for c in cases {
            if out.iter().any(|o| o.name == c.name.name) {
                self.diags.push(Diagnostic::error(
                    codes::DUPLICATE,
                    c.name.span,
                    format!("the case `{}` is declared twice", c.name.name),
                ));
            }
            let mut fields = Vec::with_capacity(c.fields.len());
            for (n, (name, ty)) in c.fields.iter().enumerate() {
                let ty = self.type_expr(ty);
                let ty = self.types.zonk(ty);
                let name = match name {
                    Some(i) => i.name,
                    None if c.fields.len() == 1 => Ustr::from("Item"),
                    None => Ustr::from(&format!("Item{}", n + 1)),
                };
                fields.push(Field { name, ty, is_mutable: false, fixed: None });
            }
            let case = Value::Case(id, out.len() as u32);
            self.module_mut().values.insert(c.name.name, case);
            out.push(Case { name: c.name.name, fields });
        }
        self.type_defs[id.index()].kind = TypeDefKind::Union(out);
    }

    fn declare_enum(&mut self, id: TypeDefId, cases: &[(ast::Ident, ast::Expr)]) {
        let mut out: Vec<(Ustr, i32)> = Vec::with_capacity(cases.len());
        for (name, value) in cases {
            let value = constant_int(value).unwrap_or_else(|| {
                self.diags.push(Diagnostic::error(
                    codes::BAD_ATTRIBUTE,
                    value.span,
                    format!("the value of `{}` must be an integer literal", name.name),
                ));
                0
            });
            out.push((name.name, value as i32));
        }
        self.type_defs[id.index()].kind = TypeDefKind::Enum(out);
    }

    pub(crate) fn add_member(&mut self, id: TypeDefId, member: &ast::Member, value: Value) {
        let info = MemberInfo {
            name: member.name.name,
            is_static: member.is_static,
            is_property: member.params.is_empty(),
            value,
        };
        self.type_info[id.index()].members.push(info);
    }
}

fn params_of(def: &ast::TypeDef) -> Vec<TypeParamDef> {
    let kind = |m: bool| if m { ParamKind::Measure } else { ParamKind::Type };
    def.params.iter().map(|p| TypeParamDef { name: p.name.name, kind: kind(p.is_measure) }).collect()
}

/// The value of an integer literal expression.
pub(crate) fn constant_int(e: &ast::Expr) -> Option<i64> {
    match &e.kind {
        E::Lit(Lit::Int { value, negative, .. }) => {
            let v = *value as i64;
            Some(if *negative { v.wrapping_neg() } else { v })
        }
        E::Paren(e) => constant_int(e),
        E::Prefix(op, e) if op.name == "-" || op.name == "~-" => Some(constant_int(e)?.wrapping_neg()),
        E::Infix(op, a, b) => {
            let (a, b) = (constant_int(a)?, constant_int(b)?);
            match op.name.as_str() {
                "|||" => Some(a | b),
                "<<<" => Some(a.checked_shl(b as u32)?),
                "+" => Some(a.wrapping_add(b)),
                _ => None,
            }
        }
        _ => None,
    }
}
