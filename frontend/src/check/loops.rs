//! Loops, indexing and slices, list and array comprehensions.
//!
//! Every loop becomes a `For` over integers or a `While`: over arrays by index, over lists by their cells, over
//! sequences by pulling. Comprehensions of lists and arrays push onto a local list, which is turned round at the end.

use super::decls::bare;
use super::types::{Ty, Want, Why};
use super::{Checker, MatchOrigin, Value};
use crate::ast::{self, Collection, ExprKind as E, Ident, IndexArg, Pattern, PatternKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{self, Arm, ExprId, ExprKind, ForStep, LocalId, PatKind, Prim, Type, TypeArg, TypeDefId};
use ustr::Ustr;

/// Where `yield` goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collector {
    pub list: LocalId,
    pub element: Ty,
    /// No `yield` is written: values of statements are the elements.
    pub implicit: bool,
}

impl<'a> Checker<'a> {
    // --- loops

    /// A loop's body: a statement, or part of a comprehension.
    pub(crate) fn loop_body(&mut self, body: &'a ast::Expr) -> ExprId {
        if self.cx.yields.is_empty() {
            return self.statement(body);
        }
        let unit = self.types.known.unit;
        self.branch(body, Want::new(unit, Why::Collect))
    }

    pub(crate) fn for_to(
        &mut self,
        var: Ident,
        from: &'a ast::Expr,
        down: bool,
        to: &'a ast::Expr,
        body: &'a ast::Expr,
        span: Span,
    ) -> ExprId {
        let known = self.types.known;
        let from = self.branch(from, Want::new(known.int, Why::Bound));
        let to = self.branch(to, Want::new(known.int, Why::Bound));
        let mark = self.mark();
        let local = self.new_local(var.name, known.int, false, var.span);
        self.bind_name(var.name, Value::Local(local));
        let body = self.loop_body(body);
        self.leave(mark);
        let step = if down { ForStep::Down } else { ForStep::Up };
        self.push(ExprKind::For { var: local, from, to, step, parallel: false, body }, known.unit, span)
    }

    pub(crate) fn for_in(
        &mut self,
        pattern: &'a Pattern,
        source: &'a ast::Expr,
        body: &'a ast::Expr,
        span: Span,
    ) -> ExprId {
        let mark = self.mark();
        let id = self.for_in_scoped(pattern, source, body, span);
        self.leave(mark);
        id
    }

    fn for_in_scoped(
        &mut self,
        pattern: &'a Pattern,
        source: &'a ast::Expr,
        body: &'a ast::Expr,
        span: Span,
    ) -> ExprId {
        if let Some(range) = parallel_range(source) {
            return self.for_range(pattern, range, body, span, true);
        }
        if let E::Range { .. } = &bare(source).kind {
            return self.for_range(pattern, bare(source), body, span, false);
        }
        if let E::List(items) | E::Array(items) = &bare(source).kind
            && let [only] = items.as_slice()
            && let E::Range { .. } = &only.kind
        {
            return self.for_range(pattern, only, body, span, false);
        }
        let source = self.branch(source, Want::ANY);
        if self.types.is_var(self.ty(source)) {
            self.solve_pending(false);
        }
        self.for_each(source, pattern, LoopBody::Source(body), span)
    }

    /// `for p in value do body`, by the value's type.
    fn for_each(&mut self, source: ExprId, pattern: &'a Pattern, body: LoopBody<'a>, span: Span) -> ExprId {
        let ty = self.ty(source);
        let at = self.span(source);
        if let Some(element) = self.is_list(ty) {
            return self.for_list(source, element, pattern, body, span);
        }
        match self.types.shape(ty).cloned() {
            Some(Type::Array(element)) => self.for_array(source, element, pattern, body, span),
            Some(Type::String) => {
                let runes = self.call_syntax("runes", &[source], at);
                let char_ = self.types.known.char;
                self.for_array(runes, char_, pattern, body, span)
            }
            Some(Type::Named(d, args)) if Some(d) == self.core.seq => {
                let element = first_type(&args).unwrap_or(self.types.known.error);
                self.for_seq(source, element, pattern, body, span)
            }
            Some(Type::Named(d, _)) => {
                let name = match self.type_defs[d.index()].path.as_str() {
                    "Core.Map" => "mapEntries",
                    "Core.Set" => "setElements",
                    _ => return self.not_iterable(ty, at),
                };
                let list = self.call_syntax(name, &[source], at);
                self.for_each(list, pattern, body, span)
            }
            Some(Type::Error) => {
                let error = self.types.known.error;
                self.pattern(pattern, error);
                self.run_body(body);
                self.error_expr(span)
            }
            None => {
                let element = self.types.fresh();
                match self.core.seq {
                    Some(seq) => {
                        let args = smallvec::SmallVec::from_vec(vec![TypeArg::Type(element)]);
                        let wanted = self.types.make(Type::Named(seq, args));
                        let _ = self.types.unify(ty, wanted);
                        self.for_seq(source, element, pattern, body, span)
                    }
                    None => self.not_iterable(ty, at),
                }
            }
            Some(_) => self.not_iterable(ty, at),
        }
    }

    fn not_iterable(&mut self, ty: Ty, span: Span) -> ExprId {
        let shown = self.show(ty);
        self.diags.push(
            Diagnostic::error(codes::TYPE_MISMATCH, span, format!("`for .. in` cannot run over a `{shown}`"))
                .help("it runs over ranges, lists, arrays, strings, sequences, maps and sets"),
        );
        self.error_expr(span)
    }

    fn run_body(&mut self, body: LoopBody<'a>) -> ExprId {
        match body {
            LoopBody::Source(e) => self.loop_body(e),
            LoopBody::Push(collector, local) => {
                let span = self.cx.body.locals[local.index()].span;
                let value = self.local_expr(local, span);
                self.push_element(collector, value, span)
            }
        }
    }

    /// The body under a pattern for one element, which `value` holds.
    pub(crate) fn element_body(
        &mut self,
        value: ExprId,
        element: Ty,
        pattern: &'a Pattern,
        body: LoopBody<'a>,
    ) -> ExprId {
        let unit = self.types.known.unit;
        let span = pattern.span;
        if let LoopBody::Push(_, local) = body {
            let body = self.run_body(body);
            return self.push(ExprKind::Let { local, value, body }, unit, span);
        }
        if let PatternKind::Name(name) = &super::decls::strip(pattern).kind
            && !self.pattern_name_is_case(*name)
        {
            let local = self.new_local(name.name, element, false, name.span);
            self.bind_name(name.name, Value::Local(local));
            let body = self.run_body(body);
            return self.push(ExprKind::Let { local, value, body }, unit, span);
        }
        let pat = self.pattern(pattern, element);
        let body = self.run_body(body);
        let mut arms = vec![Arm { pat, guard: None, body }];
        if !self.is_irrefutable(pat) {
            // Elements that do not match are passed over.
            let wild = self.push_pat(PatKind::Wild, element, span);
            let skip = self.unit(span);
            arms.push(Arm { pat: wild, guard: None, body: skip });
        }
        let id = self.push(ExprKind::Match { scrutinee: value, arms }, unit, span);
        self.cx.matches.push((id, MatchOrigin::Made));
        id
    }

    fn is_irrefutable(&self, pat: typed::PatId) -> bool {
        match &self.cx.body[pat].kind {
            PatKind::Wild | PatKind::Bind(_) | PatKind::Unit | PatKind::Error => true,
            PatKind::As(inner, _) => self.is_irrefutable(*inner),
            PatKind::Fields(fields) => fields.iter().all(|f| self.is_irrefutable(f.1)),
            PatKind::Case { fields, .. } => match self.types.shape(self.cx.body[pat].ty) {
                Some(Type::Named(d, _)) => match &self.type_defs[d.index()].kind {
                    typed::TypeDefKind::Union(cases) => {
                        cases.len() == 1 && fields.iter().all(|&f| self.is_irrefutable(f))
                    }
                    _ => false,
                },
                _ => false,
            },
            PatKind::Active { case, pat, .. } => *case == Some(0) && self.is_irrefutable(*pat),
            _ => false,
        }
    }

    fn for_array(
        &mut self,
        source: ExprId,
        element: Ty,
        pattern: &'a Pattern,
        body: LoopBody<'a>,
        span: Span,
    ) -> ExprId {
        let known = self.types.known;
        let ty = self.ty(source);
        let array = self.temp("items", ty, span);
        let index = self.temp("index", known.int, span);
        let array_ref = self.local_expr(array, span);
        let index_ref = self.local_expr(index, span);
        let value = self.push(ExprKind::Index(array_ref, index_ref), element, pattern.span);
        let inner = self.element_body(value, element, pattern, body);
        let zero = self.int(0, span);
        let again = self.local_expr(array, span);
        let length = self.prim(Prim::Length, vec![again], known.int, span);
        let one = self.int(1, span);
        let last = self.prim(Prim::Sub, vec![length, one], known.int, span);
        let kind = ExprKind::For {
            var: index,
            from: zero,
            to: last,
            step: ForStep::Up,
            parallel: false,
            body: inner,
        };
        let loop_ = self.push(kind, known.unit, span);
        self.push(ExprKind::Let { local: array, value: source, body: loop_ }, known.unit, span)
    }

    fn for_list(
        &mut self,
        source: ExprId,
        element: Ty,
        pattern: &'a Pattern,
        body: LoopBody<'a>,
        span: Span,
    ) -> ExprId {
        let known = self.types.known;
        let ty = self.ty(source);
        let rest = self.new_local(Ustr::from("rest"), ty, true, span);
        let cond = self.is_cons(rest, ty, element, span);
        let x = self.temp("item", element, span);
        let next = self.temp("next", ty, span);
        let x_pat = self.push_pat(PatKind::Bind(x), element, span);
        let next_pat = self.push_pat(PatKind::Bind(next), ty, span);
        let cell = self.push_pat(PatKind::Case { case: 1, fields: vec![x_pat, next_pat] }, ty, span);
        let next_ref = self.local_expr(next, span);
        let advance = self.push(ExprKind::Assign(rest, next_ref), known.unit, span);
        let x_ref = self.local_expr(x, pattern.span);
        let inner = self.element_body(x_ref, element, pattern, body);
        let both = self.push(ExprKind::Seq(vec![advance, inner]), known.unit, span);
        let wild = self.push_pat(PatKind::Wild, ty, span);
        let nothing = self.unit(span);
        let arms =
            vec![Arm { pat: cell, guard: None, body: both }, Arm { pat: wild, guard: None, body: nothing }];
        let scrutinee = self.local_expr(rest, span);
        let step = self.push(ExprKind::Match { scrutinee, arms }, known.unit, span);
        let loop_ = self.push(ExprKind::While { cond, body: step }, known.unit, span);
        self.push(ExprKind::Let { local: rest, value: source, body: loop_ }, known.unit, span)
    }

    fn is_cons(&mut self, list: LocalId, ty: Ty, element: Ty, span: Span) -> ExprId {
        let known = self.types.known;
        let head = self.push_pat(PatKind::Wild, element, span);
        let tail = self.push_pat(PatKind::Wild, ty, span);
        let cell = self.push_pat(PatKind::Case { case: 1, fields: vec![head, tail] }, ty, span);
        let wild = self.push_pat(PatKind::Wild, ty, span);
        let yes = self.push(ExprKind::Bool(true), known.bool, span);
        let no = self.push(ExprKind::Bool(false), known.bool, span);
        let arms = vec![Arm { pat: cell, guard: None, body: yes }, Arm { pat: wild, guard: None, body: no }];
        let scrutinee = self.local_expr(list, span);
        self.push(ExprKind::Match { scrutinee, arms }, known.bool, span)
    }

    fn for_seq(
        &mut self,
        source: ExprId,
        element: Ty,
        pattern: &'a Pattern,
        body: LoopBody<'a>,
        span: Span,
    ) -> ExprId {
        let known = self.types.known;
        let start = self.call_syntax("seqStart", &[source], span);
        let ty = self.ty(start);
        let step = self.new_local(Ustr::from("step"), ty, true, span);
        let at = self.local_expr(step, span);
        let cond = self.call_syntax("seqIsNext", &[at], span);
        let at = self.local_expr(step, span);
        let current = self.call_syntax("seqCurrent", &[at], pattern.span);
        let found = self.ty(current);
        self.unify_at(element, found, span, Why::Nothing);
        let inner = self.element_body(current, element, pattern, body);
        let at = self.local_expr(step, span);
        let next = self.call_syntax("seqAdvance", &[at], span);
        let advance = self.push(ExprKind::Assign(step, next), known.unit, span);
        let both = self.push(ExprKind::Seq(vec![inner, advance]), known.unit, span);
        let loop_ = self.push(ExprKind::While { cond, body: both }, known.unit, span);
        self.push(ExprKind::Let { local: step, value: start, body: loop_ }, known.unit, span)
    }

    pub(crate) fn parallel_body(&mut self, body: &'a ast::Expr, parallel: bool) -> ExprId {
        self.cx.parallel_depth += u32::from(parallel);
        let id = self.loop_body(body);
        self.cx.parallel_depth -= u32::from(parallel);
        id
    }

    pub(crate) fn check_parallel(&mut self, span: Span, has_step: bool) {
        if self.cx.parallel_depth >= 3 {
            self.diags.push(
                Diagnostic::error(codes::BAD_KERNEL, span, "`parallel` loops nest up to three deep")
                    .help("make the innermost an ordinary loop"),
            );
        }
        if has_step {
            self.diags.push(
                Diagnostic::error(codes::BAD_KERNEL, span, "a `parallel` range has no step")
                    .help("run over the number of steps and compute the index: `let i = first + k * step`"),
            );
        }
        if !self.cx.is_kernel && !self.in_library {
            self.diags
                .push(Diagnostic::error(codes::BAD_KERNEL, span, "`parallel` loops are for kernels").help(
                "mark the function with `[<Kernel(\"name\")>]` and dispatch it, or write an ordinary loop",
            ));
        }
    }

    // --- comprehensions

    pub(crate) fn comprehension(
        &mut self,
        kind: Collection,
        body: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> ExprId {
        if kind == Collection::Seq {
            return self.seq_expr(body, span, want);
        }
        let wanted = want.ty.and_then(|t| match self.types.shape(t) {
            Some(Type::Array(e)) if kind == Collection::Array => Some(*e),
            Some(Type::Named(d, args)) if Some(*d) == self.core.list || Some(*d) == self.core.seq => {
                first_type(args)
            }
            _ => None,
        });
        let element = wanted.unwrap_or_else(|| self.types.fresh());
        let collector = self.start_collecting(element, !has_yield(body), span);
        let outer = std::mem::take(&mut self.cx.yields);
        self.cx.yields.push(collector);
        let unit = self.types.known.unit;
        let run = self.branch(body, Want::new(unit, Why::Collect));
        self.cx.yields = outer;
        let id = self.collected(collector, run, kind, span);
        self.coerce(id, want)
    }

    pub(crate) fn start_collecting(&mut self, element: Ty, implicit: bool, span: Span) -> Collector {
        let ty = self.list_of(element);
        let list = self.new_local(Ustr::from("collected"), ty, true, span);
        Collector { list, element, implicit }
    }

    pub(crate) fn push_element(&mut self, c: Collector, value: ExprId, span: Span) -> ExprId {
        let unit = self.types.known.unit;
        let value = self.coerce(value, Want::new(c.element, Why::Nothing));
        let ty = self.cx.body.locals[c.list.index()].ty;
        let rest = self.local_expr(c.list, span);
        let cell = self.push(ExprKind::Union { case: 1, fields: vec![value, rest] }, ty, span);
        self.push(ExprKind::Assign(c.list, cell), unit, span)
    }

    pub(crate) fn collected(&mut self, c: Collector, run: ExprId, kind: Collection, span: Span) -> ExprId {
        let ty = self.cx.body.locals[c.list.index()].ty;
        let nil = self.push(ExprKind::Union { case: 0, fields: Vec::new() }, ty, span);
        let backwards = self.local_expr(c.list, span);
        let end = self.push(ExprKind::Union { case: 0, fields: Vec::new() }, ty, span);
        let mut result = self.call_syntax("reverseOnto", &[backwards, end], span);
        if kind == Collection::Array {
            result = match self.call_library(&["Array"], "ofList", &[result], span) {
                Some(id) => id,
                None => self.call_syntax("arrayOfList", &[result], span),
            };
        }
        let result_ty = self.ty(result);
        let body = self.push(ExprKind::Seq(vec![run, result]), result_ty, span);
        self.push(ExprKind::Let { local: c.list, value: nil, body }, result_ty, span)
    }

    /// A part of a list or array comprehension that is no loop, branch or binding.
    pub(crate) fn collect(&mut self, e: &'a ast::Expr) -> ExprId {
        let unit = self.types.known.unit;
        let Some(&collector) = self.cx.yields.last() else { return self.statement(e) };
        match &e.kind {
            E::Yield { value, bang: false } => {
                let value = self.element_value(value, collector);
                self.push_element(collector, value, e.span)
            }
            E::Yield { value, bang: true } => {
                let source = self.plain(value, Want::ANY);
                let local = self.temp("item", collector.element, e.span);
                self.push_all(source, collector, local, e.span)
            }
            _ if collector.implicit => {
                let id = self.plain(e, Want::ANY);
                let ty = self.ty(id);
                if matches!(self.types.shape(ty), Some(Type::Unit | Type::Error)) {
                    return id;
                }
                self.push_element(collector, id, e.span)
            }
            _ => self.plain(e, Want::new(unit, Why::Statement)),
        }
    }

    fn element_value(&mut self, e: &'a ast::Expr, c: Collector) -> ExprId {
        self.plain(e, Want::new(c.element, Why::Nothing))
    }

    /// An expression outside of the comprehension's own flow.
    pub(crate) fn plain(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        let outer = std::mem::take(&mut self.cx.yields);
        let id = self.branch(e, want);
        self.cx.yields = outer;
        id
    }

    fn push_all(&mut self, source: ExprId, c: Collector, local: LocalId, span: Span) -> ExprId {
        // The pattern is not looked at: the body binds the element itself.
        static ANY: std::sync::OnceLock<Pattern> = std::sync::OnceLock::new();
        let any = ANY.get_or_init(|| Pattern { kind: PatternKind::Wildcard, span: Span::default() });
        self.for_each(source, any, LoopBody::Push(c, local), span)
    }

    /// `yield`, `return`, `let!` and the like outside of what gives them a meaning.
    pub(crate) fn collect_or_misplaced(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        if !self.cx.yields.is_empty() && matches!(e.kind, E::Yield { .. }) {
            let id = self.collect(e);
            return self.coerce(id, want);
        }
        let word = match &e.kind {
            E::LetBang { .. } => "let!",
            E::DoBang(_) => "do!",
            E::Return { .. } => "return",
            E::MatchBang { .. } => "match!",
            _ => "yield",
        };
        self.diags.push(
            Diagnostic::error(codes::MISPLACED, e.span, format!("`{word}` cannot stand here")).help(
                if word == "yield" {
                    "`yield` belongs in a list, array or `seq` expression"
                } else {
                    "it belongs in a computation expression, such as `option { .. }`; a function gives its last value"
                },
            ),
        );
        self.error_expr(e.span)
    }

    // --- indexing

    pub(crate) fn index(
        &mut self,
        base: &'a ast::Expr,
        args: &'a [IndexArg],
        span: Span,
        want: Want,
    ) -> ExprId {
        let base = self.expr(base, Want::ANY);
        let id = self.index_of(base, args, span);
        self.coerce(id, want)
    }

    fn index_of(&mut self, base: ExprId, args: &'a [IndexArg], span: Span) -> ExprId {
        let known = self.types.known;
        let ty = self.ty(base);
        if self.types.is_var(ty) {
            self.solve_pending(false);
        }
        let [arg] = args else { return self.index_by_several(base, args, span) };
        let at = match arg {
            IndexArg::Slice(from, to) => return self.slice(base, from.as_ref(), to.as_ref(), None, span),
            IndexArg::At(e) => e,
        };
        if let Some(element) = self.indexed(ty) {
            let index = self.branch(at, Want::new(known.int, Why::Index));
            return self.push(ExprKind::Index(base, index), element, span);
        }
        if self.is_list(ty).is_some() {
            let index = self.branch(at, Want::new(known.int, Why::Index));
            return self.call_syntax("itemOfList", &[base, index], span);
        }
        match self.types.shape(ty) {
            Some(Type::Error) => {
                self.branch(at, Want::ANY);
                self.error_expr(span)
            }
            None => {
                self.branch(at, Want::ANY);
                self.diags.push(
                    Diagnostic::error(
                        codes::NEEDS_ANNOTATION,
                        self.span(base),
                        "the type of this value must be known before it is indexed",
                    )
                    .help("annotate it, for example `(xs: int[])`"),
                );
                self.error_expr(span)
            }
            Some(_) => {
                if let Some(head) = self.item_head(base, span) {
                    return self.apply(head, vec![super::apply::Arg::Source(at)], span, Want::ANY);
                }
                self.branch(at, Want::ANY);
                let shown = self.show(ty);
                self.diags.push(
                    Diagnostic::error(
                        codes::NO_OPERATOR,
                        span,
                        format!("a value of type `{shown}` cannot be indexed"),
                    )
                    .help("arrays, strings, lists, buffers, native pointers and maps can, and types with `member _.Item`"),
                );
                self.error_expr(span)
            }
        }
    }

    /// The member by which a type is indexed.
    fn item_head(&mut self, base: ExprId, span: Span) -> Option<super::apply::Head<'a>> {
        let errors = self.diags.len();
        let head = self.member_head(base, Ident { name: Ustr::from("Item"), span });
        let found = self.diags.len() == errors;
        self.diags.truncate(errors);
        found.then_some(head)
    }

    /// `m.[i, j]`: only types with a member for it have such an index.
    fn index_by_several(&mut self, base: ExprId, args: &'a [IndexArg], span: Span) -> ExprId {
        let mut parts = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                IndexArg::At(e) => parts.push(self.branch(e, Want::ANY)),
                IndexArg::Slice(..) => {}
            }
        }
        let is_known = !matches!(self.types.shape(self.ty(base)), Some(Type::Error));
        if parts.len() == args.len()
            && is_known
            && let Some(head) = self.item_head(base, span)
        {
            let tys = parts.iter().map(|&p| self.ty(p)).collect();
            let ty = self.types.make(Type::Tuple(tys));
            let at = self.span(parts[0]).to(self.span(parts[parts.len() - 1]));
            let tuple = self.push(ExprKind::Tuple(parts), ty, at);
            return self.apply(head, vec![super::apply::Arg::Done(tuple)], span, Want::ANY);
        }
        if is_known {
            self.diags.push(
                Diagnostic::error(codes::NO_OPERATOR, span, "an index has one dimension").help(
                    "use an array of arrays `a.[i].[j]`, or compute the index: `a.[i * width + j]`; a type of yours \
                     can have `member m.Item with get (i, j) = ..`",
                ),
            );
        }
        self.error_expr(span)
    }

    /// The element type of what the graph can index itself.
    pub(crate) fn indexed(&self, ty: Ty) -> Option<Ty> {
        match self.types.shape(ty)? {
            Type::Array(e) | Type::NativePtr(e) => Some(*e),
            Type::String => Some(self.types.known.char),
            Type::Named(d, args) if self.is_buffer(*d) => first_type(args),
            _ => None,
        }
    }

    pub(crate) fn is_buffer(&self, d: TypeDefId) -> bool {
        Some(d) == self.core.unified_buffer || Some(d) == self.core.buffer
    }

    fn slice(
        &mut self,
        base: ExprId,
        from: Option<&'a ast::Expr>,
        to: Option<&'a ast::Expr>,
        value: Option<&'a ast::Expr>,
        span: Span,
    ) -> ExprId {
        let int = self.types.known.int;
        let from = match from {
            Some(e) => self.branch(e, Want::new(int, Why::Index)),
            None => self.int(0, span),
        };
        let to = match to {
            Some(e) => self.branch(e, Want::new(int, Why::Index)),
            None => self.int(i64::from(i32::MAX), span),
        };
        let ty = self.ty(base);
        let name = match self.types.shape(ty) {
            Some(Type::Array(_)) if value.is_some() => "setSliceArray",
            Some(Type::Array(_)) => "sliceArray",
            Some(Type::String) if value.is_none() => "sliceString",
            Some(Type::Error) => return self.error_expr(span),
            _ if self.is_list(ty).is_some() && value.is_none() => "sliceList",
            _ => {
                let shown = self.show(ty);
                self.diags.push(
                    Diagnostic::error(
                        codes::NO_OPERATOR,
                        span,
                        format!("a value of type `{shown}` has no slices"),
                    )
                    .help("arrays, strings and lists have"),
                );
                return self.error_expr(span);
            }
        };
        match value {
            Some(v) => {
                let v = self.branch(v, Want::new(ty, Why::Assigned(self.span(base))));
                self.call_syntax(name, &[base, from, to, v], span)
            }
            None => self.call_syntax(name, &[base, from, to], span),
        }
    }

    pub(crate) fn assign_index(
        &mut self,
        base: &'a ast::Expr,
        args: &'a [IndexArg],
        value: &'a ast::Expr,
        span: Span,
    ) -> ExprId {
        let known = self.types.known;
        let base_id = self.expr(base, Want::ANY);
        if let [IndexArg::Slice(from, to)] = args {
            return self.slice(base_id, from.as_ref(), to.as_ref(), Some(value), span);
        }
        let place = self.index_of(base_id, args, span);
        if let Some((setter, mut args)) = self.setter_of(place) {
            let (callee, ty) = self.use_def(setter, span);
            args.push(super::apply::Arg::Source(value));
            return self.call(callee, ty, args, span, Want::ANY);
        }
        let element = self.ty(place);
        let value = self.branch(value, Want::new(element, Why::Assigned(base.span)));
        let kind = match self.cx.body[place].kind {
            ExprKind::Index(b, i) => {
                if matches!(self.types.shape(self.ty(b)), Some(Type::String)) {
                    self.diags.push(
                        Diagnostic::error(codes::NOT_MUTABLE, span, "strings are immutable")
                            .help("build a new string, for example from an array of `char`"),
                    );
                }
                ExprKind::AssignIndex(b, i, value)
            }
            ExprKind::Error => ExprKind::Error,
            _ => {
                let shown = self.show(self.ty(base_id));
                self.diags.push(
                    Diagnostic::error(
                        codes::NOT_MUTABLE,
                        span,
                        format!("elements of a `{shown}` are immutable"),
                    )
                    .help("use an array, or make a new collection"),
                );
                ExprKind::Error
            }
        };
        self.push(kind, known.unit, span)
    }
}

/// What runs for each element.
#[derive(Clone, Copy)]
pub(crate) enum LoopBody<'a> {
    Source(&'a ast::Expr),
    /// Pushes the element, bound to the local.
    Push(Collector, LocalId),
}

pub(crate) fn first_type(args: &[TypeArg]) -> Option<Ty> {
    args.iter().find_map(|a| if let TypeArg::Type(t) = a { Some(*t) } else { None })
}

/// `parallel (a .. b)`.
fn parallel_range(e: &ast::Expr) -> Option<&ast::Expr> {
    let E::App(f, args) = &e.kind else { return None };
    let E::Name(name) = &f.kind else { return None };
    let [range] = args.as_slice() else { return None };
    let range = bare(range);
    (name.name == "parallel" && matches!(range.kind, E::Range { .. })).then_some(range)
}

/// Is a `yield` written in this comprehension's own flow?
fn has_yield(e: &ast::Expr) -> bool {
    match &e.kind {
        E::Yield { .. } => true,
        E::Seq(items) => items.iter().any(has_yield),
        E::Let { body, .. } | E::Paren(body) => has_yield(body),
        E::ForIn { body, .. } | E::ForTo { body, .. } | E::While { body, .. } => has_yield(body),
        E::If { then, otherwise, .. } => has_yield(then) || otherwise.as_deref().is_some_and(has_yield),
        E::Match { arms, .. } => arms.iter().any(|a| has_yield(&a.body)),
        _ => false,
    }
}
