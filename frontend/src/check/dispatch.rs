//! `GPU.dispatch "kernel" {| .. |}`: the kernel is found by its name, fields meet parameters.
//!
//! Fields match parameters by name, ignoring the case of the first letter. A buffer parameter takes the address of a
//! buffer; where the field says `e.Address`, or names a local that holds one, the buffer's element type is checked.
//! Addresses that come from further away are checked by later stages.

use super::Checker;
use super::decls::bare;
use super::env::nearest;
use super::types::{Ty, Want};
use crate::ast::{self, ExprKind as E, Ident, Lit};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{AgentKind, DefId, DefKind, Dispatch, ExprId, ExprKind, Type};
use ustr::Ustr;

/// GPUs that a program can name, and queues of each: the runtime has a table of that size.
const DEVICES: i64 = 4;
const QUEUES: i64 = 8;

/// Agent, device and queue of a form, and how many of its arguments name them.
struct Place {
    agent: AgentKind,
    device: u32,
    queue: u32,
    used: usize,
}

impl<'a> Checker<'a> {
    /// Notes the names of all kernels, so that one that is declared later is told from one that does not exist.
    pub(crate) fn scan_kernels(&mut self, files: &'a [ast::File]) {
        for file in files {
            self.scan_decls(&file.decls);
        }
    }

    fn scan_decls(&mut self, decls: &'a [ast::Decl]) {
        for decl in decls {
            if let ast::DeclKind::Module { decls, .. } = &decl.kind {
                self.scan_decls(decls);
            }
            let inner = match &decl.kind {
                ast::DeclKind::Let(group) => group.bindings.iter().map(|b| b.attributes.as_slice()).collect(),
                _ => Vec::new(),
            };
            for attributes in std::iter::once(decl.attributes.as_slice()).chain(inner) {
                if let Some(name) = self.attribute_text(attributes, "Kernel", 0) {
                    self.kernels_ahead.insert(name, decl.span);
                }
            }
        }
    }

    /// Recognises the forms of a dispatch.
    pub(crate) fn dispatch_form(
        &mut self,
        f: &'a ast::Expr,
        args: &'a [ast::Expr],
        span: Span,
        want: Want,
    ) -> Option<ExprId> {
        let args: Vec<&'a ast::Expr> = args.iter().collect();
        self.dispatch_with(f, &args, span, want)
    }

    /// `GPU.dispatch "k" <| {| .. |}`.
    pub(crate) fn dispatch_pipe(
        &mut self,
        f: &'a ast::Expr,
        args: &'a [ast::Expr],
        last: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> Option<ExprId> {
        let args: Vec<&'a ast::Expr> = args.iter().chain(std::iter::once(last)).collect();
        self.dispatch_with(f, &args, span, want)
    }

    fn dispatch_with(
        &mut self,
        f: &'a ast::Expr,
        args: &[&'a ast::Expr],
        span: Span,
        want: Want,
    ) -> Option<ExprId> {
        let E::Dot(base, method) = &f.kind else { return None };
        let E::Name(agent) = &base.kind else { return None };
        let agent = match agent.name.as_str() {
            "CPU" => AgentKind::Cpu,
            "GPU" => AgentKind::Gpu,
            "NPU" => AgentKind::Npu,
            _ => return None,
        };
        let numbers = match method.name.as_str() {
            "dispatch" => 0,
            "dispatchOn" => 1,
            "dispatchAt" => 2,
            _ => return None,
        };
        let mut place = Place { agent, device: 0, queue: 0, used: numbers };
        for (n, arg) in args.iter().take(numbers).enumerate() {
            let Some(value) = super::typedefs::constant_int(arg).filter(|v| (0..=255).contains(v)) else {
                self.bad_dispatch(
                    arg.span,
                    "the device and the queue of a dispatch must be small integer literals",
                );
                return Some(self.error_expr(span));
            };
            let (what, most) = if (numbers, n) == (2, 0) { ("GPU", DEVICES) } else { ("queue", QUEUES) };
            if value >= most {
                let last = most - 1;
                self.diags.push(
                    Diagnostic::error(codes::BAD_KERNEL, arg.span, format!("there is no {what} {value}"))
                        .here(format!("{what}s are 0 to {last}"))
                        .help("GPUs are 0 to 3, and each has the queues 0 to 7"),
                );
                return Some(self.error_expr(span));
            }
            match (numbers, n) {
                (2, 0) => place.device = value as u32,
                _ => place.queue = value as u32,
            }
        }
        let [name, fields] = args.get(place.used..)? else {
            self.bad_dispatch(span, "a dispatch needs the kernel's name and a record of its arguments");
            return Some(self.error_expr(span));
        };
        let E::Lit(Lit::String(kernel)) = &bare(name).kind else {
            self.bad_dispatch(name.span, "the kernel's name must be a text literal");
            return Some(self.error_expr(span));
        };
        let fields = match &bare(fields).kind {
            E::AnonRecord(fields) => fields.as_slice(),
            E::Lit(Lit::Unit) => &[],
            _ => {
                self.bad_dispatch(
                    fields.span,
                    "the kernel's arguments must be written as a record `{| .. |}`",
                );
                return Some(self.error_expr(span));
            }
        };
        Some(self.dispatch(&place, Ident { name: *kernel, span: name.span }, fields, span, want))
    }

    fn bad_dispatch(&mut self, span: Span, text: &str) {
        self.diags.push(
            Diagnostic::error(codes::BAD_KERNEL, span, text)
                .help("write `GPU.dispatch \"name\" {| Field = value |}`"),
        );
    }

    fn dispatch(
        &mut self,
        place: &Place,
        name: Ident,
        fields: &'a [(Ident, ast::Expr)],
        span: Span,
        want: Want,
    ) -> ExprId {
        let Some(kernel) = self.kernel_named(name.name) else {
            self.unknown_kernel(name);
            for (_, value) in fields {
                self.branch(value, Want::ANY);
            }
            return self.error_expr(span);
        };
        let (params, ret) = self.kernel_signature(kernel);
        let mut slots: Vec<Option<ExprId>> = vec![None; params.len()];
        let mut order = Vec::with_capacity(fields.len());
        for (field, value) in fields {
            let Some(index) = params.iter().position(|p| same_name(p.0, field.name)) else {
                self.branch(value, Want::ANY);
                self.no_such_parameter(kernel, name, *field, &params);
                continue;
            };
            let id = self.dispatch_argument(value, *field, params[index].1, name);
            if slots[index].is_some() {
                self.diags.push(Diagnostic::error(
                    codes::DISPATCH_FIELDS,
                    field.span,
                    format!("the field `{}` is given twice", field.name),
                ));
                continue;
            }
            slots[index] = Some(id);
            order.push(index as u32);
        }
        let missing: Vec<String> = params
            .iter()
            .zip(&slots)
            .filter(|(_, s)| s.is_none())
            .map(|(p, _)| format!("`{}`", capitalised(p.0)))
            .collect();
        if !missing.is_empty() {
            let noun = if missing.len() == 1 { "field" } else { "fields" };
            let at = self.defs[kernel.index()].span;
            self.diags.push(
                Diagnostic::error(
                    codes::DISPATCH_FIELDS,
                    span,
                    format!("the dispatch of `{}` lacks the {noun} {}", name.name, missing.join(", ")),
                )
                .label(at, "the kernel is declared here"),
            );
            return self.error_expr(span);
        }
        let args: Vec<ExprId> = slots.into_iter().flatten().collect();
        if args.len() != params.len() {
            return self.error_expr(span);
        }
        let Place { agent, device, queue, .. } = *place;
        self.check_result(agent, ret, name);
        let node = Dispatch { agent, device, queue, kernel, args, order, name_span: name.span };
        self.done(ExprKind::Dispatch(Box::new(node)), ret, span, want)
    }

    fn check_result(&mut self, agent: AgentKind, ret: Ty, name: Ident) {
        if agent != AgentKind::Cpu && !matches!(self.types.shape(ret), Some(Type::Unit | Type::Error)) {
            let shown = self.show(ret);
            self.diags.push(
                Diagnostic::error(
                    codes::BAD_KERNEL,
                    name.span,
                    format!(
                        "the kernel `{}` gives a `{shown}`: it can be dispatched on the CPU only",
                        name.name
                    ),
                )
                .help("let it write its result into a buffer"),
            );
        }
    }

    /// Parameter names and types of a kernel, and what it gives.
    fn kernel_signature(&self, kernel: DefId) -> (Vec<(Ustr, Ty)>, Ty) {
        match &self.defs[kernel.index()].kind {
            DefKind::Function(f) => {
                let params = f.params.iter().map(|p| (p.name, p.ty));
                let unit = |t: Ty| matches!(self.types.shape(t), Some(Type::Unit));
                (params.filter(|p| !unit(p.1)).collect(), f.ret)
            }
            DefKind::Extern(e) => (e.params.iter().map(|p| (p.name, p.ty)).collect(), e.ret),
            _ => (Vec::new(), self.types.known.error),
        }
    }

    fn unknown_kernel(&mut self, name: Ident) {
        let mut d = Diagnostic::error(
            codes::UNKNOWN_KERNEL,
            name.span,
            format!("no kernel is named `{}`", name.name),
        );
        if let Some(&at) = self.kernels_ahead.get(&name.name) {
            d = d
                .label(at, "declared here, after its use")
                .help("move the kernel before the function that dispatches it");
        } else {
            let mut names: Vec<Ustr> =
                self.kernels.keys().chain(self.kernels_ahead.keys()).copied().collect();
            names.sort_by_key(|n| n.as_str());
            if let Some(near) = nearest(name.name, names.into_iter()) {
                d = d.help(format!("did you mean `{near}`?"));
            } else {
                d = d.help(format!("declare it with `[<Kernel(\"{}\")>]` before its function", name.name));
            }
        }
        self.diags.push(d);
    }

    fn no_such_parameter(&mut self, kernel: DefId, name: Ident, field: Ident, params: &[(Ustr, Ty)]) {
        let at = self.defs[kernel.index()].span;
        let mut d = Diagnostic::error(
            codes::DISPATCH_FIELDS,
            field.span,
            format!("the kernel `{}` has no parameter `{}`", name.name, field.name),
        )
        .label(at, "the kernel is declared here");
        let names = params.iter().map(|p| Ustr::from(&capitalised(p.0)));
        if let Some(near) = nearest(field.name, names) {
            d = d.help(format!("did you mean `{near}`?"));
        }
        self.diags.push(d);
    }

    fn dispatch_argument(&mut self, value: &'a ast::Expr, field: Ident, param: Ty, kernel: Ident) -> ExprId {
        let Some(element) = self.buffer_element(param) else {
            let id = self.branch(value, Want::ANY);
            let found = self.ty(id);
            if self.types.unify(param, found).is_err() {
                self.wrong_type(field, kernel, param, found, self.span(id));
            }
            return id;
        };
        let id = self.branch(value, Want::ANY);
        let span = self.span(id);
        let found = self.ty(id);
        if self.buffer_element(found).is_some() {
            self.diags.push(
                Diagnostic::error(
                    codes::DISPATCH_TYPE,
                    span,
                    format!("the field `{}` takes the buffer's address, not the buffer", field.name),
                )
                .help("write `.Address` after it"),
            );
            return self.error_expr(span);
        }
        let nativeint = self.types.known.nativeint;
        if self.types.unify(nativeint, found).is_err() {
            self.wrong_type(field, kernel, nativeint, found, span);
        } else if let Some(given) = self.address_element(id)
            && self.types.unify(element, given).is_err()
        {
            let (wanted, given) = (self.show(element), self.show(given));
            self.diags.push(
                Diagnostic::error(
                    codes::DISPATCH_TYPE,
                    span,
                    format!("`{}` of the kernel `{}` is a buffer of `{wanted}`", field.name, kernel.name),
                )
                .here(format!("this is the address of a buffer of `{given}`")),
            );
        }
        id
    }

    fn wrong_type(&mut self, field: Ident, kernel: Ident, wanted: Ty, found: Ty, span: Span) {
        let (wanted, found) = (self.show(wanted), self.show(found));
        self.diags.push(
            Diagnostic::error(
                codes::DISPATCH_TYPE,
                span,
                format!("`{}` of the kernel `{}` is of type `{wanted}`", field.name, kernel.name),
            )
            .here(format!("this is of type `{found}`")),
        );
    }

    fn buffer_element(&self, ty: Ty) -> Option<Ty> {
        match self.types.shape(ty)? {
            Type::Named(d, args) if self.is_buffer(*d) => super::loops::first_type(args),
            _ => None,
        }
    }

    /// The element type of the buffer whose address an expression is, where it says so itself.
    pub(crate) fn address_element(&self, e: ExprId) -> Option<Ty> {
        match &self.cx.body[e].kind {
            ExprKind::Field(base, 0) => self.buffer_element(self.ty(*base)),
            ExprKind::Local(local) => self.cx.address_of.get(local).copied(),
            _ => None,
        }
    }
}

/// Equal but for the case of the first letter.
fn same_name(a: Ustr, b: Ustr) -> bool {
    let split = |s: &'static str| {
        let mut chars = s.chars();
        (chars.next().map(|c| c.to_lowercase().to_string()), chars.as_str())
    };
    split(a.as_str()) == split(b.as_str())
}

fn capitalised(name: Ustr) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(c) => c.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
