//! The syntax tree: nodes in one arena, children before parents, so that dropping it never recurses.

use crate::error::Span;

/// Index of a node in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExprId(pub(crate) u32);

/// A parsed expression.
#[derive(Clone, Debug)]
pub(crate) struct Ast {
    nodes: Vec<Expr>,
    heights: Vec<u16>,
    root: ExprId,
}

/// A node and where it stands in the source.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

/// A literal value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Not,
    Neg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Index,
}

impl BinaryOp {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
            Self::Index => "[]",
        }
    }
}

/// The one-variable macros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    Literal(Literal),
    /// A name; `absolute` when written with a leading dot.
    Ident {
        name: String,
        absolute: bool,
    },
    /// `operand.field`, or `has(operand.field)` when `test` is set.
    Select {
        operand: ExprId,
        field: String,
        test: bool,
    },
    Unary {
        op: UnaryOp,
        operand: ExprId,
    },
    Binary {
        op: BinaryOp,
        left: ExprId,
        right: ExprId,
    },
    /// A whole chain of `&&`, so that long chains are not deep.
    And(Vec<ExprId>),
    /// A whole chain of `||`.
    Or(Vec<ExprId>),
    Ternary {
        condition: ExprId,
        then: ExprId,
        otherwise: ExprId,
    },
    List(Vec<ExprId>),
    Map(Vec<(ExprId, ExprId)>),
    Call {
        target: Option<ExprId>,
        name: String,
        name_span: Span,
        args: Vec<ExprId>,
    },
    Macro {
        kind: MacroKind,
        range: ExprId,
        variable: String,
        /// The filter of a three-argument `map`.
        filter: Option<ExprId>,
        body: ExprId,
    },
}

impl Ast {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            heights: Vec::new(),
            root: ExprId(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn root(&self) -> ExprId {
        self.root
    }

    pub(crate) fn set_root(&mut self, root: ExprId) {
        self.root = root;
    }

    /// The node, or `None` for an id of another tree.
    pub(crate) fn get(&self, id: ExprId) -> Option<&Expr> {
        self.nodes.get(id.0 as usize)
    }

    pub(crate) fn span(&self, id: ExprId) -> Span {
        self.get(id).map(|e| e.span).unwrap_or_default()
    }

    /// Adds a node; the second value is its height (1 for a leaf).
    pub(crate) fn push(&mut self, kind: ExprKind, span: Span) -> (ExprId, u16) {
        let mut below = 0;
        let mut see =
            |id: &ExprId| below = below.max(self.heights.get(id.0 as usize).copied().unwrap_or(0));
        match &kind {
            ExprKind::Literal(_) | ExprKind::Ident { .. } => {}
            ExprKind::Select { operand, .. } | ExprKind::Unary { operand, .. } => see(operand),
            ExprKind::Binary { left, right, .. } => {
                see(left);
                see(right);
            }
            ExprKind::And(items) | ExprKind::Or(items) | ExprKind::List(items) => {
                items.iter().for_each(see);
            }
            ExprKind::Ternary {
                condition,
                then,
                otherwise,
            } => [condition, then, otherwise].into_iter().for_each(see),
            ExprKind::Map(entries) => entries.iter().for_each(|(k, v)| {
                see(k);
                see(v);
            }),
            ExprKind::Call { target, args, .. } => target.iter().chain(args).for_each(see),
            ExprKind::Macro {
                range,
                filter,
                body,
                ..
            } => [range, body].into_iter().chain(filter).for_each(see),
        }
        let id = ExprId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let height = below.saturating_add(1);
        self.nodes.push(Expr { kind, span });
        self.heights.push(height);
        (id, height)
    }
}
