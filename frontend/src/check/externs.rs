//! Foreign functions: both forms of externs, intrinsics, kernels that live in a file of their own.

use super::decls::{is_annotated, pattern_label};
use super::types::Ty;
use super::{Checker, Cx, DefInfo};
use crate::ast::{self, Attribute, Binding, BindingHead};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{Def, DefId, DefKind, Extern, ExternParam, ParamEffect};
use ustr::Ustr;

impl<'a> Checker<'a> {
    pub(crate) fn is_foreign(&self, attributes: &[Attribute]) -> bool {
        ["Intrinsic", "FidelityExtern", "Extern", "DllImport"]
            .iter()
            .any(|n| self.has_attribute(attributes, n))
    }

    /// A `let` that is an intrinsic or an extern: its body is ignored.
    pub(crate) fn declare_foreign(
        &mut self,
        b: &'a Binding,
        attributes: &'a [Attribute],
        doc: Option<&'a String>,
    ) -> Option<DefId> {
        if !self.is_foreign(attributes) {
            return None;
        }
        let BindingHead::Name { name, type_params, params } = &b.head else { return None };
        self.cx = Cx { rigid: true, ..Cx::default() };
        self.declare_params(type_params);
        if !params.iter().all(is_annotated) || b.ret.is_none() {
            self.diags.push(
                Diagnostic::error(
                    codes::NEEDS_ANNOTATION,
                    name.span,
                    format!(
                        "the foreign function `{}` needs a type on each parameter and on its result",
                        name.name
                    ),
                )
                .help("write `let f (x: int) : int = NativeDefault.zeroed ()`"),
            );
        }
        let tys: Vec<Ty> = params
            .iter()
            .map(|p| {
                let t = self.param_type(p);
                self.types.zonk(t)
            })
            .collect();
        let ret = match &b.ret {
            Some(t) => self.type_expr(t),
            None => self.types.known.error,
        };
        let ret = self.types.zonk(ret);
        let ty = self.types.funs(&tys, ret);
        let kind = if let Some(intrinsic) = self.attribute_text(attributes, "Intrinsic", 0) {
            DefKind::Intrinsic { name: intrinsic, params: tys, ret }
        } else {
            let attr =
                if self.has_attribute(attributes, "FidelityExtern") { "FidelityExtern" } else { "Extern" };
            let library = self.attribute_text(attributes, attr, 0);
            let entry = self
                .attribute_text(attributes, attr, 1)
                .or_else(|| self.attribute_named(attributes, attr, "EntryPoint"))
                .unwrap_or(name.name);
            let library = self.extern_library(library, attributes, name.span);
            let names = params.iter().map(pattern_label);
            let params = names.zip(&tys).map(|(name, &ty)| ExternParam { name, ty, effect: None }).collect();
            DefKind::Extern(Extern { library, entry, params, ret })
        };
        let params = std::mem::take(&mut self.cx.params);
        let arity = tys_len(&kind);
        let def = Def {
            path: self.qualified(name.name),
            params,
            kind,
            ty,
            span: name.span,
            is_inline: false,
            is_public: !b.is_private,
            doc: doc.cloned(),
            kernel: None,
        };
        Some(self.new_def(def, DefInfo { arity, ..DefInfo::default() }))
    }

    fn extern_library(&mut self, library: Option<Ustr>, attributes: &[Attribute], span: Span) -> Ustr {
        library.unwrap_or_else(|| {
            let span = attributes.first().map_or(span, |a| a.span);
            self.diags.push(
                Diagnostic::error(codes::BAD_ATTRIBUTE, span, "the foreign function's library is missing")
                    .help("write `[<Extern(\"library\", EntryPoint = \"symbol\")>]`"),
            );
            Ustr::from("")
        })
    }

    pub(crate) fn declare_extern(
        &mut self,
        e: &'a ast::ExternDecl,
        attributes: &'a [Attribute],
        doc: Option<&'a String>,
    ) -> Option<DefId> {
        let saved = std::mem::replace(&mut self.cx, Cx { rigid: true, ..Cx::default() });
        let kernel = self.kernel_attribute(attributes);
        let mut params = Vec::with_capacity(e.params.len());
        for (n, p) in e.params.iter().enumerate() {
            let ty = self.type_expr(&p.ty);
            let ty = self.types.zonk(ty);
            let name = p.name.map_or_else(|| Ustr::from(&format!("arg{n}")), |i| i.name);
            let effect = if self.has_attribute(&p.attributes, "Releases") {
                Some(ParamEffect::Releases)
            } else if self.has_attribute(&p.attributes, "ReadsWrites") {
                Some(ParamEffect::ReadsWrites)
            } else {
                match (
                    self.has_attribute(&p.attributes, "Reads"),
                    self.has_attribute(&p.attributes, "Writes"),
                ) {
                    (true, true) => Some(ParamEffect::ReadsWrites),
                    (true, false) => Some(ParamEffect::Reads),
                    (false, true) => Some(ParamEffect::Writes),
                    (false, false) => None,
                }
            };
            params.push(ExternParam { name, ty, effect });
        }
        let ret = self.type_expr(&e.ret);
        let ret = self.types.zonk(ret);
        let mut tys: Vec<Ty> = params.iter().map(|p| p.ty).collect();
        if tys.is_empty() {
            tys.push(self.types.known.unit);
        }
        let ty = self.types.funs(&tys, ret);
        let entry = self.attribute_named(attributes, "Extern", "EntryPoint");
        let entry =
            entry.or_else(|| self.attribute_text(attributes, "FidelityExtern", 1)).unwrap_or(e.name.name);
        let library = self
            .attribute_text(attributes, "Extern", 0)
            .or_else(|| self.attribute_text(attributes, "FidelityExtern", 0));
        let library = match (&kernel, library) {
            (Some(_), None) => Ustr::from(""),
            (_, library) => self.extern_library(library, attributes, e.name.span),
        };
        if let Some(k) = &kernel
            && k.object.is_none()
        {
            self.diags.push(
                Diagnostic::error(
                    codes::BAD_KERNEL,
                    k.span,
                    "a kernel without a body needs the file that holds it",
                )
                .help(format!("write `[<Kernel(\"{}\", Object = \"file.hsaco\")>]`", k.name)),
            );
        }
        let arity = tys.len() as u32;
        let def = Def {
            path: self.qualified(e.name.name),
            params: std::mem::take(&mut self.cx.params),
            kind: DefKind::Extern(Extern { library, entry, params, ret }),
            ty,
            span: e.name.span,
            is_inline: false,
            is_public: true,
            doc: doc.cloned(),
            kernel: None,
        };
        let def = self.new_def(def, DefInfo { arity, ..DefInfo::default() });
        if let Some(kernel) = kernel {
            self.add_kernel(def, kernel);
        }
        self.cx = saved;
        Some(def)
    }
}

fn tys_len(kind: &DefKind) -> u32 {
    match kind {
        DefKind::Intrinsic { params, .. } => params.len() as u32,
        DefKind::Extern(e) => e.params.len() as u32,
        _ => 0,
    }
}
