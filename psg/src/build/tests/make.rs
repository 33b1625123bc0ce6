//! Typed trees by hand, for tests that need no front end.

use crate::graph::{FileInfo, Psg};
use clef_frontend::ast::IntKind;
use clef_frontend::span::{FileId, LineIndex, Span};
use clef_frontend::typed::*;
use ustr::Ustr;

pub struct Make {
    pub prog: Program,
    pub unit: TyId,
    pub bool: TyId,
    pub int: TyId,
    pub string: TyId,
    body: Body,
    next: u32,
}

impl Make {
    pub fn new() -> Self {
        let mut prog = Program::default();
        let unit = prog.types.intern(Type::Unit);
        let bool = prog.types.intern(Type::Bool);
        let int = prog.types.intern(Type::Int(IntKind::I32, Measure::default()));
        let string = prog.types.intern(Type::String);
        Self { prog, unit, bool, int, string, body: Body::default(), next: 1 }
    }

    pub fn ty(&mut self, ty: Type) -> TyId {
        self.prog.types.intern(ty)
    }

    pub fn param(&mut self, n: u32) -> TyId {
        self.ty(Type::Param(n))
    }

    pub fn fun(&mut self, from: &[TyId], to: TyId) -> TyId {
        from.iter().rev().fold(to, |to, from| self.ty(Type::Fun(*from, to)))
    }

    pub fn named(&mut self, def: TypeDefId, args: &[TyId]) -> TyId {
        self.ty(Type::Named(def, args.iter().map(|t| TypeArg::Type(*t)).collect()))
    }

    pub fn span(&mut self) -> Span {
        self.next += 1;
        Span { file: FileId(0), start: self.next, end: self.next + 1 }
    }

    pub fn reserve_type(&mut self, name: &str, params: usize) -> TypeDefId {
        let params = (0..params)
            .map(|i| TypeParamDef { name: Ustr::from(&format!("T{i}")), kind: ParamKind::Type })
            .collect();
        self.prog.type_defs.push(TypeDef {
            path: Ustr::from(name),
            name: Ustr::from(name),
            params,
            kind: TypeDefKind::Measure,
            members: Vec::new(),
            span: Span::default(),
            is_struct: false,
            doc: None,
        });
        TypeDefId(self.prog.type_defs.len() as u32 - 1)
    }

    pub fn union(&mut self, def: TypeDefId, cases: &[(&str, &[TyId])]) {
        let cases = cases
            .iter()
            .map(|(name, fields)| Case {
                name: Ustr::from(name),
                fields: fields
                    .iter()
                    .map(|ty| Field { name: Ustr::from("Item"), ty: *ty, is_mutable: false, fixed: None })
                    .collect(),
            })
            .collect();
        self.prog.type_defs[def.index()].kind = TypeDefKind::Union(cases);
    }

    pub fn local(&mut self, name: &str, ty: TyId) -> LocalId {
        let span = self.span();
        self.body.locals.push(Local { name: Ustr::from(name), ty, is_mutable: false, span });
        LocalId(self.body.locals.len() as u32 - 1)
    }

    pub fn mutable(&mut self, name: &str, ty: TyId) -> LocalId {
        let local = self.local(name, ty);
        self.body.locals[local.index()].is_mutable = true;
        local
    }

    pub fn e(&mut self, kind: ExprKind, ty: TyId) -> ExprId {
        let span = self.span();
        self.body.exprs.push(Expr { kind, ty, span });
        ExprId(self.body.exprs.len() as u32 - 1)
    }

    pub fn kind(&self, e: ExprId) -> &ExprKind {
        &self.body[e].kind
    }

    pub fn p(&mut self, kind: PatKind, ty: TyId) -> PatId {
        let span = self.span();
        self.body.pats.push(Pat { kind, ty, span });
        PatId(self.body.pats.len() as u32 - 1)
    }

    pub fn num(&mut self, n: i64) -> ExprId {
        self.e(ExprKind::Int(n), self.int)
    }

    pub fn get(&mut self, local: LocalId) -> ExprId {
        let ty = self.body.locals[local.index()].ty;
        self.e(ExprKind::Local(local), ty)
    }

    pub fn prim(&mut self, prim: Prim, args: &[ExprId], ty: TyId) -> ExprId {
        self.e(ExprKind::Prim(prim, args.to_vec()), ty)
    }

    pub fn lambda(&mut self, params: &[LocalId], body: ExprId) -> ExprId {
        let types: Vec<TyId> = params.iter().map(|p| self.body.locals[p.index()].ty).collect();
        let ty = self.body[body].ty;
        let ty = self.fun(&types, ty);
        self.e(ExprKind::Lambda { params: params.to_vec(), body }, ty)
    }

    /// A use of a definition whose type (after instantiation) is given.
    pub fn def(&mut self, def: DefId, targs: &[TyId], ty: TyId) -> ExprId {
        self.e(ExprKind::Def(def, targs.iter().map(|t| TypeArg::Type(*t)).collect()), ty)
    }

    pub fn app(&mut self, f: ExprId, args: &[ExprId], ty: TyId) -> ExprId {
        self.e(ExprKind::App(f, args.to_vec()), ty)
    }

    pub fn let_in(&mut self, local: LocalId, value: ExprId, body: ExprId) -> ExprId {
        let ty = self.body[body].ty;
        self.e(ExprKind::Let { local, value, body }, ty)
    }

    /// A place for a definition, so that others can name it.
    pub fn reserve(&mut self, name: &str, generic: usize) -> DefId {
        let params = (0..generic)
            .map(|i| TypeParamDef { name: Ustr::from(&format!("T{i}")), kind: ParamKind::Type })
            .collect();
        let span = self.span();
        self.prog.defs.push(Def {
            path: Ustr::from(name),
            params,
            kind: DefKind::Intrinsic { name: Ustr::from("none"), params: Vec::new(), ret: self.unit },
            ty: self.unit,
            span,
            is_inline: false,
            is_public: true,
            doc: None,
            kernel: None,
        });
        DefId(self.prog.defs.len() as u32 - 1)
    }

    /// Ends a function whose body was made since the last one.
    pub fn function(&mut self, def: DefId, params: &[LocalId], root: ExprId) {
        let mut body = std::mem::take(&mut self.body);
        body.root = Some(root);
        let ret = body[root].ty;
        let types: Vec<TyId> = params.iter().map(|p| body.locals[p.index()].ty).collect();
        let params = params
            .iter()
            .map(|p| {
                let local = &body.locals[p.index()];
                FunParam { local: *p, name: local.name, ty: local.ty, span: local.span }
            })
            .collect();
        self.prog.defs[def.index()].ty = self.fun(&types, ret);
        self.prog.defs[def.index()].kind = DefKind::Function(Function { params, ret, body });
    }

    /// Builds with one definition as a library's root, and verifies.
    pub fn build(&mut self, root: DefId) -> Psg {
        self.prog.roots = vec![root];
        let files = vec![FileInfo { name: "Test.clef".into(), lines: LineIndex::new("") }];
        let (psg, diags) = super::super::build(&self.prog, files, Default::default());
        assert!(diags.is_empty(), "{diags:?}");
        if let Err(errors) = crate::verify::verify(&psg) {
            let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{}\n{}", list.join("\n"), crate::text::print(&psg));
        }
        psg
    }
}
