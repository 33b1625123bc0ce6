//! Types, type arguments, measures: rules of combinators.

use super::grammar::{
    At, Input, Parser, Read, Rule, ahead, by_hand, chain_ends, expected, ident, nested, next, path, place,
    text, token, token_if,
};
use super::state::State;
use super::{MAX_CHAIN, codes};
use crate::ast::{Ident, MeasureExpr, MeasureKind, Path, TypeArg, TypeExpr, TypeExprKind, TypeParam};
use crate::lex::{Kind, Token};
use crate::span::Span;
use chumsky::primitive::{choice, custom};
use chumsky::{IterParser as _, Parser as _};
use ustr::Ustr;

fn error_type(span: Span) -> TypeExpr {
    TypeExpr { kind: TypeExprKind::Error, span }
}

fn error_measure(span: Span) -> MeasureExpr {
    MeasureExpr { kind: MeasureKind::Error, span }
}

fn ty(kind: TypeExprKind, at: &mut At<'_, '_>) -> TypeExpr {
    TypeExpr { kind, span: place(at) }
}

/// A type with arrows: `a * b -> c`.
pub(super) fn type_expr<'s>() -> impl Rule<'s, TypeExpr> {
    let arrow = token(Kind::Arrow).ignore_then(custom(any_type));
    let fun = tuple_type().then(arrow.or_not()).map_with(|(from, to), at| match to {
        Some(to) => ty(TypeExprKind::Fun(Box::new(from), Box::new(to)), at),
        None => from,
    });
    nested(fun, error_type)
}

/// Where types contain types, the grammar goes through this function.
fn any_type<'s>(input: &mut Input<'s, '_>) -> Read<TypeExpr> {
    input.parse(type_expr())
}

fn tuple_type<'s>() -> impl Rule<'s, TypeExpr> {
    let more = token(Kind::Star).ignore_then(custom(one_type)).repeated().collect::<Vec<_>>();
    postfix_type().then(more).map_with(|(first, mut items), at| {
        if items.is_empty() {
            return first;
        }
        items.insert(0, first);
        ty(TypeExprKind::Tuple(items), at)
    })
}

fn one_type<'s>(input: &mut Input<'s, '_>) -> Read<TypeExpr> {
    input.parse(postfix_type())
}

/// What follows a type: `list`, `[]`.
enum Suffix {
    Name(Path),
    Array,
}

/// `int list []`.
pub(super) fn postfix_type<'s>() -> impl Rule<'s, TypeExpr> {
    let empty = token_if(array_suffix).ignore_then(next()).map(|_| Suffix::Array);
    let name = ahead(|s| s.cur() == Kind::Ident).ignore_then(path("of a type")).map(Suffix::Name);
    atomic_type()
        .foldl_with(name.or(empty).repeated().at_most(MAX_CHAIN), |inner, suffix, at| match suffix {
            Suffix::Name(path) => ty(TypeExprKind::Named { path, args: vec![TypeArg::Type(inner)] }, at),
            Suffix::Array => ty(TypeExprKind::Array(Box::new(inner)), at),
        })
        .then_ignore(chain_ends("types", |s| s.cur() == Kind::Ident || array_suffix(s)))
}

fn array_suffix(state: &State<'_>) -> bool {
    state.cur() == Kind::LBracket && state.kind_at(1) == Kind::RBracket
}

/// A type without postfix names (those of an `extern`'s result would take its name).
pub(super) fn atomic_type<'s>() -> impl Rule<'s, TypeExpr> {
    let operand = |kind| token_if(move |s| s.cur_operand() == kind);
    let at_operand = |kind| ahead(move |s| s.cur_operand() == kind);
    let args = ahead(|s| s.cur() == Kind::Less && s.token().glued).ignore_then(custom(angled));
    let named_type = at_operand(Kind::Ident)
        .ignore_then(path("of a type").then(args.or_not()))
        .map_with(|(path, args), at| ty(TypeExprKind::Named { path, args: args.unwrap_or_default() }, at));
    let void = operand(Kind::Void).map_with(|token, at| {
        let unit = Ident { name: Ustr::from("unit"), span: token.span };
        ty(TypeExprKind::Named { path: Path { parts: vec![unit] }, args: Vec::new() }, at)
    });
    let var = operand(Kind::TypeVar).map_with(|token, at| ty(TypeExprKind::Var(var_name(token, at)), at));
    let wildcard = operand(Kind::Underscore).map_with(|_, at| ty(TypeExprKind::Wildcard, at));
    let paren = at_operand(Kind::LParen)
        .ignore_then(by_hand(|p| p.bracketed(Parser::type_expr)))
        .map_with(|inner, at| ty(inner.kind, at));
    let record = at_operand(Kind::LAnon)
        .ignore_then(by_hand(|p| p.bracketed(Parser::anon_fields)))
        .map_with(|fields, at| ty(TypeExprKind::AnonRecord(fields), at));
    let tuple = operand(Kind::Struct).ignore_then(by_hand(|p| p.struct_type()));
    choice((named_type, var, paren, wildcard, void, record, tuple, expected("a type", error_type)))
}

/// `'T` without its mark.
fn var_name(token: Token, at: &mut At<'_, '_>) -> Ustr {
    Ustr::from(text(at, token).trim_start_matches('\''))
}

/// `<a, b>`; the `<` is at hand.
fn type_args<'s>() -> impl Rule<'s, Vec<TypeArg>> {
    let unit = ahead(State::measure_follows).ignore_then(custom(any_measure)).map(TypeArg::Measure);
    let arg = unit.or(custom(any_type).map(TypeArg::Type));
    let args = arg.separated_by(token(Kind::Comma)).at_least(1).collect::<Vec<_>>();
    next().ignore_then(args).then_ignore(by_hand(|p| p.close_angle()))
}

fn angled<'s>(input: &mut Input<'s, '_>) -> Read<Vec<TypeArg>> {
    input.parse(type_args())
}

// ---- measures

/// `kg m / s^2`: products by `*` or by standing together, quotients, all of one strength.
fn measure<'s>() -> impl Rule<'s, MeasureExpr> {
    let one = ahead(|s| s.cur() == Kind::Slash)
        .map_with(|(), at| MeasureExpr { kind: MeasureKind::One, span: place(at).at_start() });
    let quotient = token(Kind::Slash).ignore_then(measure_power()).map(|m| (true, m));
    let together = ahead(starts_unit);
    let product = token(Kind::Star).ignored().or(together).ignore_then(measure_power()).map(|m| (false, m));
    let links = quotient.or(product).repeated().at_most(MAX_CHAIN);
    let all = one
        .or(measure_power())
        .foldl_with(links, |left, (is_quotient, right), at| {
            let (l, r) = (Box::new(left), Box::new(right));
            let kind = if is_quotient { MeasureKind::Div(l, r) } else { MeasureKind::Mul(l, r) };
            MeasureExpr { kind, span: place(at) }
        })
        .then_ignore(
            ahead(|s| s.cur() == Kind::Int && !is_one(s))
                .ignore_then(expected("a unit of measure", |_| ()))
                .or_not(),
        )
        .then_ignore(chain_ends("units", |s| matches!(s.cur(), Kind::Slash | Kind::Star) || starts_unit(s)));
    nested(all, error_measure)
}

fn starts_unit(state: &State<'_>) -> bool {
    matches!(state.cur(), Kind::Ident | Kind::TypeVar | Kind::LParen | Kind::Underscore) || is_one(state)
}

fn is_one(state: &State<'_>) -> bool {
    state.cur() == Kind::Int && state.slice(state.token().span) == "1"
}

fn any_measure<'s>(input: &mut Input<'s, '_>) -> Read<MeasureExpr> {
    input.parse(measure())
}

/// A unit with its power.
fn measure_power<'s>() -> impl Rule<'s, MeasureExpr> {
    let unit = ahead(|s| s.cur() == Kind::Ident).ignore_then(path("of a unit")).map(MeasureKind::Named);
    let var = token(Kind::TypeVar).map_with(|token, at| MeasureKind::Var(var_name(token, at)));
    let wildcard = token(Kind::Underscore).map(|_| MeasureKind::Wildcard);
    let one = token_if(is_one).map(|_| MeasureKind::One);
    let paren = ahead(|s| s.cur() == Kind::LParen)
        .ignore_then(by_hand(|p| p.bracketed(Parser::measure)))
        .map(|inner| inner.kind);
    let base =
        choice((unit, var, wildcard, one, paren, expected("a unit of measure", |_| MeasureKind::Error)));
    let base = base.map_with(|kind, at| MeasureExpr { kind, span: place(at) });
    let power = ahead(starts_power).ignore_then(by_hand(|p| p.exponent()));
    base.then(power.or_not()).map_with(|(base, power), at| match power.flatten() {
        Some(n) => MeasureExpr { kind: MeasureKind::Pow(Box::new(base), n), span: place(at) },
        None => base,
    })
}

fn starts_power(state: &State<'_>) -> bool {
    state.cur() == Kind::Caret || state.cur() == Kind::Op && state.slice(state.token().span) == "^-"
}

// ---- type parameters

/// `<'T, [<Measure>] 'u>`; the `<` is at hand.
fn angled_params<'s>() -> impl Rule<'s, Vec<TypeParam>> {
    let is_measure = ahead(|s| s.cur() == Kind::LAttr)
        .ignore_then(by_hand(|p| p.attributes()))
        .map(|list| list.iter().any(|a| a.path.last().is_some_and(|n| n.name == "Measure")));
    let var = token(Kind::TypeVar)
        .map_with(|token, at| Some(Ident { name: var_name(token, at), span: token.span }))
        .or(expected("a type parameter such as `'T`", |_| None));
    let param = is_measure.or_not().then(var).map(|(is_measure, name)| {
        name.map(|name| TypeParam { name, is_measure: is_measure.unwrap_or(false) })
    });
    let params = param.separated_by(token(Kind::Comma)).at_least(1).collect::<Vec<_>>();
    let constraints = ahead(|s| s.cur() == Kind::When).ignore_then(by_hand(|p| p.constraints()));
    next()
        .ignore_then(params)
        .then_ignore(constraints.or_not())
        .then_ignore(by_hand(|p| p.close_angle()))
        .map(|params| params.into_iter().flatten().collect())
}

/// Type parameters after a name, if they are there.
pub(super) fn type_params<'s>() -> impl Rule<'s, Vec<TypeParam>> {
    ahead(|s| s.cur() == Kind::Less && s.token().glued)
        .ignore_then(angled_params())
        .or_not()
        .map(Option::unwrap_or_default)
}

impl Parser<'_, '_, '_> {
    pub(super) fn type_expr(&mut self) -> TypeExpr {
        self.run(type_expr()).unwrap_or_else(|| error_type(self.token().span))
    }

    pub(super) fn atomic_type(&mut self) -> TypeExpr {
        self.run(atomic_type()).unwrap_or_else(|| error_type(self.token().span))
    }

    pub(super) fn type_args(&mut self) -> Vec<TypeArg> {
        self.run(type_args()).unwrap_or_default()
    }

    pub(super) fn type_params(&mut self) -> Vec<TypeParam> {
        if self.cur() != Kind::Less || !self.token().glued {
            return Vec::new();
        }
        self.run(type_params()).unwrap_or_default()
    }

    pub(super) fn measure(&mut self) -> MeasureExpr {
        self.run(measure()).unwrap_or_else(|| error_measure(self.token().span))
    }

    fn struct_type(&mut self) -> TypeExpr {
        let start = self.prev_span();
        self.unsupported(
            codes::NO_STRUCT_TUPLE,
            start,
            "a struct tuple is outside the subset",
            "write the tuple without `struct`",
        );
        self.atomic_type()
    }

    /// Fields of an anonymous record's type.
    fn anon_fields(&mut self) -> Vec<(Ident, TypeExpr)> {
        let mut out = Vec::new();
        while !self.recovering && self.kind_at(0) == Kind::Ident {
            self.anchor = self.pos;
            let colon = by_hand(|p| p.expect(Kind::Colon, "`:` after the field's name"));
            let field = ident("of a field").then_ignore(colon).then(type_expr());
            out.extend(self.run(field));
            while self.kind_at(0) == Kind::Semi {
                self.bump();
            }
        }
        out
    }

    /// `^2`, `^-2`; the sign is at hand.
    fn exponent(&mut self) -> Option<i32> {
        let caret = self.bump().kind == Kind::Caret;
        let negative = !caret || self.kind_at(0) == Kind::Minus;
        if caret && negative {
            self.bump();
        }
        let number = self.token();
        let Ok(n) = self.slice(number.span).parse::<i32>() else {
            self.expected("a whole number after `^`");
            return None;
        };
        self.bump();
        Some(if negative { -n } else { n })
    }

    /// Takes a `>`, also from the front of a longer token.
    pub(super) fn close_angle(&mut self) {
        let t = self.token();
        if self.recovering {
            return;
        }
        let rest = match t.kind {
            Kind::Greater => {
                self.bump();
                return;
            }
            Kind::RAttr => Kind::RBracket,
            Kind::Op if self.slice(t.span).starts_with('>') => match &self.slice(t.span)[1..] {
                ">" => Kind::Greater,
                "=" => Kind::Eq,
                "|" => Kind::Bar,
                "*" => Kind::Star,
                "-" => Kind::Minus,
                "." => Kind::Dot,
                _ => Kind::Op,
            },
            _ => return self.expected("`>` after the type arguments"),
        };
        if let Some(slot) = self.tokens.get(self.pos) {
            let span = Span { start: t.span.start + 1, ..t.span };
            slot.set(Token { kind: rest, span, col: t.col + 1, first: false, glued: true });
        }
    }

    /// `when 'T : equality and ...`: skipped to the closing `>`.
    fn constraints(&mut self) {
        let span = self.token().span;
        self.unsupported(
            codes::NO_CONSTRAINTS,
            span,
            "constraints on type parameters are outside the subset",
            "leave them out: what a body needs of its types is found where it is used",
        );
        let mut depth = 0usize;
        while !matches!(self.cur(), Kind::End | Kind::Eq) {
            match self.cur() {
                Kind::LParen | Kind::Less => depth += 1,
                Kind::RParen => depth = depth.saturating_sub(1),
                Kind::Greater if depth == 0 => break,
                Kind::Greater => depth -= 1,
                _ => {}
            }
            self.bump();
        }
    }
}
