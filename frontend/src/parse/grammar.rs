//! Where the grammar meets `chumsky`: its input, its extra state, the primitive rules, and the hand that layout needs.
//!
//! The input is the slice of laid-out tokens. Rules are functions that give a `chumsky` parser; they are static (no
//! boxes, nothing built at run time), and recursion goes through functions. [`State`] travels as chumsky's state, and
//! [`token`] asks it whether the token at hand still belongs to what is being read.
//!
//! A rule that [`Parser`]'s methods make takes the state out while it runs and puts it back: inside, the code reads
//! tokens through the state and calls other rules by [`Parser::run`]. The state's position and chumsky's cursor are the
//! same number whenever the two meet.
//!
//! Rules are total: what fits nothing is reported through the state, once, and gives an `Error` node. So chumsky's own
//! errors carry nothing, and backing up never drops a diagnostic.

use super::MAX_DEPTH;
use super::state::{Link, State};
use crate::ast::{Ident, Path};
use crate::lex::{Kind, Token};
use crate::span::Span;
use chumsky::Parser as _;
use chumsky::error::EmptyErr;
use chumsky::extra;
use chumsky::input::{Checkpoint, Cursor, InputRef, MapExtra};
use chumsky::inspector::Inspector;
use chumsky::primitive::custom;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};

/// The laid-out tokens.
pub(super) type Tokens<'s> = &'s [Cell<Token>];
pub(super) type Extra<'s> = extra::Full<EmptyErr, Slot<'s>, ()>;
pub(super) type Input<'s, 'p> = InputRef<'s, 'p, Tokens<'s>, Extra<'s>>;
pub(super) type At<'s, 'b> = MapExtra<'s, 'b, Tokens<'s>, Extra<'s>>;
/// What a function that reads by chumsky gives.
pub(super) type Read<T> = Result<T, EmptyErr>;

/// A parser of `T` from laid-out tokens.
pub(super) trait Rule<'s, T>: chumsky::Parser<'s, Tokens<'s>, T, Extra<'s>> + Copy {}

impl<'s, T, P: chumsky::Parser<'s, Tokens<'s>, T, Extra<'s>> + Copy> Rule<'s, T> for P {}

/// The state's place in chumsky: empty while a hand-written rule holds it.
pub(super) struct Slot<'s>(Option<Box<State<'s>>>);

impl<'s> Slot<'s> {
    /// The state, which is there whenever combinators run.
    pub(super) fn get(&mut self) -> Option<&mut State<'s>> {
        self.0.as_deref_mut()
    }
}

impl<'s> Inspector<'s, Tokens<'s>> for Slot<'s> {
    type Checkpoint = ();

    #[inline(always)]
    fn on_token(&mut self, _: &Cell<Token>) {
        if let Some(state) = &mut self.0 {
            state.pos += 1;
        }
    }

    #[inline(always)]
    fn on_save<'p>(&self, _: &Cursor<'s, 'p, Tokens<'s>>) {}

    #[inline(always)]
    fn on_rewind<'p>(&mut self, marker: &Checkpoint<'s, 'p, Tokens<'s>, ()>) {
        if let Some(state) = &mut self.0 {
            state.pos = *marker.cursor().inner();
        }
    }
}

/// Hand-written reading inside a rule: the state and chumsky's input.
pub(super) struct Parser<'i, 's: 'p, 'p> {
    input: &'i mut Input<'s, 'p>,
    state: Option<Box<State<'s>>>,
}

impl<'s> Deref for Parser<'_, 's, '_> {
    type Target = State<'s>;

    #[inline(always)]
    fn deref(&self) -> &State<'s> {
        match &self.state {
            Some(state) => state,
            None => unreachable!("the state is away only while `run` reads"),
        }
    }
}

impl DerefMut for Parser<'_, '_, '_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        match &mut self.state {
            Some(state) => state,
            None => unreachable!("the state is away only while `run` reads"),
        }
    }
}

impl<'s> Parser<'_, 's, '_> {
    /// Moves chumsky's cursor to where the state stands, which is never behind it.
    #[inline(always)]
    fn catch_up(&mut self) {
        for _ in *self.input.cursor().inner()..self.pos {
            self.input.skip();
        }
    }

    /// Reads by a rule; `None` where it does not match, and then nothing was read.
    #[inline(always)]
    pub(super) fn run<T>(&mut self, rule: impl Rule<'s, T>) -> Option<T> {
        self.catch_up();
        let before = self.input.save();
        self.input.state().0 = self.state.take();
        let result = self.input.parse(rule);
        if result.is_err() {
            self.input.rewind(before);
        }
        self.state = self.input.state().0.take();
        result.ok()
    }
}

/// A rule that hand-written code reads.
#[inline(always)]
pub(super) fn by_hand<'s, T>(read: impl Fn(&mut Parser<'_, 's, '_>) -> T + Copy) -> impl Rule<'s, T> {
    custom(move |input: &mut Input<'s, '_>| {
        let state = input.state().0.take();
        if state.is_none() {
            return Err(EmptyErr::default());
        }
        let mut p = Parser { input, state };
        let value = read(&mut p);
        p.catch_up();
        let state = p.state.take();
        input.state().0 = state;
        Ok(value)
    })
}

/// The token at hand, if `wanted` says so.
#[inline(always)]
pub(super) fn token_if<'s>(wanted: impl Fn(&State<'s>) -> bool + Copy) -> impl Rule<'s, Token> {
    custom(move |input: &mut Input<'s, '_>| match &input.state().0 {
        Some(state) if wanted(state) => {
            let token = state.token();
            input.skip();
            Ok(token)
        }
        _ => Err(EmptyErr::default()),
    })
}

/// A token of this kind that still belongs to what is being read.
#[inline(always)]
pub(super) fn token<'s>(kind: Kind) -> impl Rule<'s, Token> {
    token_if(move |state| state.cur() == kind)
}

/// Any token at all.
#[inline(always)]
pub(super) fn next<'s>() -> impl Rule<'s, Token> {
    token_if(|_| true)
}

/// Nothing, where `holds` does.
#[inline(always)]
pub(super) fn ahead<'s>(holds: impl Fn(&State<'s>) -> bool + Copy) -> impl Rule<'s, ()> {
    custom(move |input: &mut Input<'s, '_>| match &input.state().0 {
        Some(state) if holds(state) => Ok(()),
        _ => Err(EmptyErr::default()),
    })
}

/// Declares that the token at hand begins a line of its block, so that it belongs to it whatever its column.
#[inline(always)]
pub(super) fn anchored<'s>() -> impl Rule<'s, ()> {
    custom(move |input: &mut Input<'s, '_>| match &mut input.state().0 {
        Some(state) => {
            state.anchor = state.pos;
            Ok(())
        }
        None => Err(EmptyErr::default()),
    })
}

/// Reports that `what` was expected, and stands for it.
#[inline(always)]
pub(super) fn expected<'s, T>(what: &'static str, stand_in: impl Fn(Span) -> T + Copy) -> impl Rule<'s, T> {
    custom(move |input: &mut Input<'s, '_>| match &mut input.state().0 {
        Some(state) => {
            state.expected(what);
            Ok(stand_in(state.token().span.at_start()))
        }
        None => Err(EmptyErr::default()),
    })
}

/// A rule that contains itself: at the deepest level the declaration is given up and `stand_in` stands for the rest.
#[inline(always)]
pub(super) fn nested<'s, T>(rule: impl Rule<'s, T>, stand_in: impl Fn(Span) -> T + Copy) -> impl Rule<'s, T> {
    custom(move |input: &mut Input<'s, '_>| {
        let Some(state) = &mut input.state().0 else { return Err(EmptyErr::default()) };
        if state.depth >= MAX_DEPTH {
            let span = state.token().span;
            input.parse(by_hand(|p| p.too_deep()))?;
            return Ok(stand_in(span));
        }
        state.depth += 1;
        let result = input.parse(rule);
        if let Some(state) = &mut input.state().0 {
            state.depth -= 1;
        }
        result
    })
}

/// Reports what goes on after the most links of a chain, where `more` holds; gives the declaration up.
#[inline(always)]
pub(super) fn chain_ends<'s>(
    of: &'static str,
    more: impl Fn(&State<'s>) -> bool + Copy,
) -> impl Rule<'s, ()> {
    custom(move |input: &mut Input<'s, '_>| match &input.state().0 {
        Some(state) if more(state) => input.parse(by_hand(move |p| {
            let span = p.token().span;
            p.chain_too_long(of, span);
        })),
        _ => Ok(()),
    })
}

/// A name with the place it was wanted at, which an error tells.
#[inline(always)]
pub(super) fn ident<'s>(place: &'static str) -> impl Rule<'s, Ident> {
    custom(move |input: &mut Input<'s, '_>| {
        let Some(state) = &mut input.state().0 else { return Err(EmptyErr::default()) };
        if state.cur() != Kind::Ident {
            return Ok(state.ident(place));
        }
        let name = state.ident_of(state.token());
        input.skip();
        Ok(name)
    })
}

/// `A.B.C`.
#[inline(always)]
pub(super) fn path<'s>(place: &'static str) -> impl Rule<'s, Path> {
    let dot = token_if(|s| s.cur() == Kind::Dot && s.kind_at(1) == Kind::Ident);
    let part = dot.ignore_then(custom(|input: &mut Input<'s, '_>| match &input.state().0 {
        Some(state) => {
            let name = state.ident_of(state.token());
            input.skip();
            Ok(name)
        }
        None => Err(EmptyErr::default()),
    }));
    ident(place).map(|name| vec![name]).foldl(part.repeated(), pushed).map(|parts| Path { parts })
}

/// The list with one more, for folds.
pub(super) fn pushed<T>(mut list: Vec<T>, item: T) -> Vec<T> {
    list.push(item);
    list
}

/// The spelling of a token that a rule took.
pub(super) fn text<'s>(at: &mut At<'s, '_>, token: Token) -> &'s str {
    at.state().0.as_ref().map_or("", |state| state.slice(token.span))
}

/// A chain of operators by chumsky's Pratt parser. Its operands begin with [`operand`], which counts the links.
#[inline(always)]
pub(super) fn chain<'s, T>(rule: impl Rule<'s, T>, stand_in: impl Fn(Span) -> T + Copy) -> impl Rule<'s, T> {
    let counted = custom(move |input: &mut Input<'s, '_>| {
        let Some(state) = &mut input.state().0 else { return Err(EmptyErr::default()) };
        let (links, depth) = (state.links.len(), state.depth);
        state.links.push(Link { power: 0, count: 0 });
        let result = input.parse(rule);
        if let Some(state) = &mut input.state().0 {
            state.links.truncate(links);
            state.depth = depth;
        }
        result
    });
    nested(counted, stand_in)
}

/// An operator of a chain, by what may stand to its left and right: see [`State::link`].
#[inline(always)]
pub(super) fn operator<'s>(
    powers: (u8, u8),
    wanted: impl Fn(&State<'s>) -> bool + Copy,
) -> impl Rule<'s, Token> {
    custom(move |input: &mut Input<'s, '_>| match &mut input.state().0 {
        Some(state) if wanted(state) => {
            let token = state.token();
            state.operator = Some((state.pos + 1, powers));
            input.skip();
            Ok(token)
        }
        _ => Err(EmptyErr::default()),
    })
}

/// Source text from where the rule began to the last token it took.
#[inline(always)]
pub(super) fn place(at: &mut At<'_, '_>) -> Span {
    let first = at.span().start;
    match &at.state().0 {
        Some(state) => state.span_from(state.token_at(first).span),
        None => unreachable!("rules by hand give the state back"),
    }
}

/// Reads all tokens by a rule. Gives the state back for what it has to report.
pub(super) fn read<'s, T>(
    rule: impl Rule<'s, T>,
    tokens: Tokens<'s>,
    state: State<'s>,
) -> (Option<T>, Option<State<'s>>) {
    let mut slot = Slot(Some(Box::new(state)));
    let tree = rule.parse_with_state(tokens, &mut slot).into_output();
    (tree, slot.0.map(|state| *state))
}
