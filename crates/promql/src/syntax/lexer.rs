//! From text to tokens, one at a time.

use ferula_diag::Span;
use ferula_model::text::quote::{quoted, quoted_char};

use super::ast::BinaryOp;
use super::error::ParseError;
use super::token::{Kind, Token, word_kind};
use super::{number, string};

/// Hands out the tokens of a text.
///
/// What a character means depends on the parentheses, braces and brackets around it, so they are
/// counted here; most texts that fail to close one never reach the parser.
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    /// How many parentheses are open.
    parens: usize,
    in_braces: bool,
    brackets: Option<Brackets>,
    /// Whether a number has come in any brackets: the reference forgets to ask for another.
    number_in_brackets: bool,
}

/// What was seen since a `[`.
#[derive(Clone, Copy)]
struct Brackets {
    /// Whether a number has come; until then, little is allowed.
    number: bool,
    /// Whether the `:` has come.
    colon: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            parens: 0,
            in_braces: false,
            brackets: None,
            number_in_brackets: false,
        }
    }

    /// The text of a token.
    pub(super) fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.span.start as usize..token.span.end as usize]
    }

    /// The next token; at the end of the text, [`Kind::End`] any number of times.
    pub(super) fn next(&mut self) -> Result<Token, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let Some(c) = self.peek() else {
            self.check_closed()?;
            return Ok(Token {
                kind: Kind::End,
                span: Span::new(start, start),
            });
        };
        let kind = match self.brackets {
            _ if self.in_braces => self.next_in_braces(c)?,
            Some(brackets) if !brackets.number => self.next_after_bracket(c)?,
            _ => self.next_in_expr(c)?,
        };
        Ok(Token {
            kind,
            span: Span::new(start, self.at),
        })
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// Whether `c` comes next; if so, it is skipped.
    fn eat(&mut self, c: char) -> bool {
        let found = self.text[self.at..].starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(Span::new(self.at, self.at), message))
    }

    /// Skips white space and comments. No comment may follow a `[` at once.
    fn skip_blanks(&mut self) {
        let comments = self.brackets.is_none_or(|b| b.number) || self.in_braces;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'#') if comments => {
                    let rest = &bytes[self.at..];
                    let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
                    self.at += end.unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn check_closed(&self) -> Result<(), ParseError> {
        if self.in_braces {
            return self.error("unexpected end of input inside braces");
        }
        if self.brackets.is_some_and(|b| !b.number) {
            return self.error("unexpected end of input in duration expression");
        }
        if self.parens > 0 {
            return self.error("unclosed left parenthesis");
        }
        if self.brackets.is_some() {
            return self.error("unclosed left bracket");
        }
        Ok(())
    }

    fn next_in_braces(&mut self, c: char) -> Result<Kind, ParseError> {
        if is_word_start(c) {
            self.at += self.count(is_word);
            return Ok(Kind::Identifier);
        }
        if matches!(c, '"' | '\'' | '`') {
            return self.string();
        }
        if c == '{' {
            return self.error(format!("unexpected left brace {}", quoted_char(c)));
        }
        let start = self.at;
        self.at += c.len_utf8();
        Ok(match c {
            ',' => Kind::Comma,
            '}' => {
                self.in_braces = false;
                Kind::RightBrace
            }
            '=' if self.eat('~') => Kind::EqualRegex,
            '=' => Kind::Equal,
            '!' if self.eat('=') => Kind::Binary(BinaryOp::Ne),
            '!' if self.eat('~') => Kind::NotEqualRegex,
            '!' => {
                let next = quoted_char(self.peek().unwrap_or(char::REPLACEMENT_CHARACTER));
                self.at = start;
                return self.error(format!(
                    "unexpected character after '!' inside braces: {next}"
                ));
            }
            _ => {
                self.at = start;
                return self.error(format!(
                    "unexpected character inside braces: {}",
                    quoted_char(c)
                ));
            }
        })
    }

    /// Up to the first number in brackets.
    fn next_after_bracket(&mut self, c: char) -> Result<Kind, ParseError> {
        let start = self.at;
        let unexpected = |c: char| {
            format!(
                "unexpected character in duration expression: {}",
                quoted_char(c)
            )
        };
        if self.at_number(c) {
            return self.number();
        }
        if is_word_start(c) {
            return match self.duration_function() {
                Some(kind) => Ok(kind),
                None => self.error(unexpected(c)),
            };
        }
        self.at += c.len_utf8();
        Ok(match c {
            ']' => {
                self.brackets = None;
                Kind::RightBracket
            }
            ':' => return self.early_colon(),
            ',' => Kind::Comma,
            '(' => self.left_paren(),
            ')' => return self.right_paren(),
            '+' => Kind::Binary(BinaryOp::Add),
            '-' => Kind::Binary(BinaryOp::Sub),
            '*' => Kind::Binary(BinaryOp::Mul),
            '/' => Kind::Binary(BinaryOp::Div),
            '%' => Kind::Binary(BinaryOp::Mod),
            '^' => Kind::Binary(BinaryOp::Pow),
            _ => {
                self.at = start;
                return self.error(unexpected(c));
            }
        })
    }

    /// Outside braces, and inside brackets from the first number on.
    fn next_in_expr(&mut self, c: char) -> Result<Kind, ParseError> {
        if self.at_number(c) {
            return self.number();
        }
        if is_word_start(c) || c == ':' {
            return self.word(c);
        }
        if matches!(c, '"' | '\'' | '`') {
            return self.string();
        }
        let start = self.at;
        self.at += c.len_utf8();
        Ok(match c {
            '(' => self.left_paren(),
            ')' => return self.right_paren(),
            '{' => {
                self.in_braces = true;
                Kind::LeftBrace
            }
            '[' if self.brackets.is_none() => {
                self.brackets = Some(Brackets {
                    number: false,
                    colon: false,
                });
                Kind::LeftBracket
            }
            ']' if self.brackets.is_some() => {
                self.brackets = None;
                Kind::RightBracket
            }
            ',' => Kind::Comma,
            '@' => Kind::At,
            '+' => Kind::Binary(BinaryOp::Add),
            '-' => Kind::Binary(BinaryOp::Sub),
            '*' => Kind::Binary(BinaryOp::Mul),
            '/' => Kind::Binary(BinaryOp::Div),
            '%' => Kind::Binary(BinaryOp::Mod),
            '^' => Kind::Binary(BinaryOp::Pow),
            '=' if self.eat('=') => Kind::Binary(BinaryOp::Eq),
            '=' if self.peek() != Some('~') => Kind::Equal,
            '!' if self.eat('=') => Kind::Binary(BinaryOp::Ne),
            '<' if self.eat('=') => Kind::Binary(BinaryOp::Le),
            '<' if self.eat('/') => Kind::Binary(BinaryOp::TrimUpper),
            '<' => Kind::Binary(BinaryOp::Lt),
            '>' if self.eat('=') => Kind::Binary(BinaryOp::Ge),
            '>' if self.eat('/') => Kind::Binary(BinaryOp::TrimLower),
            '>' => Kind::Binary(BinaryOp::Gt),
            _ => {
                let next = self.peek().unwrap_or(char::REPLACEMENT_CHARACTER);
                let (what, c) = match c {
                    '[' => ("unexpected left bracket", c),
                    ']' => ("unexpected right bracket", c),
                    '=' => ("unexpected character after '=':", next),
                    '!' => ("unexpected character after '!':", next),
                    _ => ("unexpected character:", c),
                };
                self.at = start;
                return self.error(format!("{what} {}", quoted_char(c)));
            }
        })
    }

    /// A `:` that is read in brackets before any number of theirs.
    fn early_colon(&mut self) -> Result<Kind, ParseError> {
        if !self.number_in_brackets {
            return self.error("unexpected colon before duration in duration expression");
        }
        match &mut self.brackets {
            Some(brackets) if !brackets.colon => {
                brackets.colon = true;
                Ok(Kind::Colon)
            }
            _ => self.error("unexpected repeated colon in duration expression"),
        }
    }

    fn left_paren(&mut self) -> Kind {
        self.parens += 1;
        Kind::LeftParen
    }

    /// Reports a `)` too many behind it, as the reference does.
    fn right_paren(&mut self) -> Result<Kind, ParseError> {
        match self.parens.checked_sub(1) {
            Some(parens) => {
                self.parens = parens;
                Ok(Kind::RightParen)
            }
            None => self.error("unexpected right parenthesis ')'"),
        }
    }

    /// Whether a number begins here, with `c`.
    fn at_number(&self, c: char) -> bool {
        let digit = |at: usize| self.text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        digit(self.at) || c == '.' && digit(self.at + 1)
    }

    fn number(&mut self) -> Result<Kind, ParseError> {
        let rest = &self.text[self.at..];
        match number::scan(rest) {
            Ok((kind, len)) => {
                self.at += len;
                if let Some(brackets) = &mut self.brackets {
                    brackets.number = true;
                    self.number_in_brackets = true;
                }
                Ok(kind)
            }
            Err(len) => self.error(format!(
                "bad number or duration syntax: {}",
                quoted(&rest[..len])
            )),
        }
    }

    fn string(&mut self) -> Result<Kind, ParseError> {
        match string::unquote(&self.text[self.at..]) {
            Ok((_, len)) => {
                self.at += len;
                Ok(Kind::String)
            }
            Err(message) => self.error(message),
        }
    }

    /// A word, or a `:` in brackets.
    fn word(&mut self, c: char) -> Result<Kind, ParseError> {
        if let Some(brackets) = &mut self.brackets {
            if c == ':' && !brackets.colon {
                brackets.colon = true;
                self.at += 1;
                return Ok(Kind::Colon);
            }
            if c == ':' {
                return self.error(format!("unexpected colon {}", quoted_char(c)));
            }
            return match self.duration_function() {
                Some(kind) => Ok(kind),
                None => self.error(format!(
                    "unexpected character: {}, expected ':'",
                    quoted_char(c)
                )),
            };
        }
        let len = self.count(|b| is_word(b) || b == b':');
        let kind = word_kind(&self.text[self.at..self.at + len]);
        self.at += len;
        match kind {
            Kind::Keyword(keyword) if keyword.is_fill() && !self.paren_follows() => {
                Ok(Kind::Identifier)
            }
            kind => Ok(kind),
        }
    }

    /// The word at hand if it is a function inside brackets.
    fn duration_function(&mut self) -> Option<Kind> {
        // A digit ends such a word.
        let len = self.count(|b| is_word(b) && !b.is_ascii_digit());
        match word_kind(&self.text[self.at..self.at + len]) {
            Kind::Keyword(keyword) if keyword.is_duration_function() => {
                self.at += len;
                Some(Kind::Keyword(keyword))
            }
            _ => None,
        }
    }

    fn paren_follows(&self) -> bool {
        self.text[self.at..]
            .trim_start_matches([' ', '\t', '\n', '\r'])
            .starts_with('(')
    }

    /// How many of the next bytes pass.
    fn count(&self, pass: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        rest.iter().take_while(|&&b| pass(b)).count()
    }
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}
