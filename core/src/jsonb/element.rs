//! The elements of a payload: a top-level array's, or the document itself. They are looked at one after the other,
//! so that a payload of millions takes no memory.

use super::{
    COUNT_MASK, Child, Children, DEEPEST, DamagedJsonb, IS_ARRAY, IS_OBJECT, IS_SCALAR, Kind, each_item, each_member,
    is_object, read, word,
};
use crate::json::Json;

/// One element of a top-level jsonb array, or the document itself.
#[derive(Debug, Clone, Copy)]
pub enum Element<'a> {
    /// A document that is no array.
    Document(&'a [u8]),
    /// An item of one that is.
    Item(Child<'a>),
}

impl<'a> Element<'a> {
    /// The element's own container (what follows the varlena header of a jsonb that holds just this element),
    /// if it is an object or an array.
    pub fn container(&self) -> Option<&'a [u8]> {
        match self {
            Element::Document(container) => {
                word(container, 0).is_ok_and(|header| header & IS_OBJECT != 0).then_some(container)
            }
            Element::Item(child) => child.container().ok(),
        }
    }

    /// As `container`, of an element that is known to be an object or an array.
    ///
    /// # Errors
    /// It is neither.
    pub fn any_container(&self) -> Result<&'a [u8], DamagedJsonb> {
        match self {
            Element::Document(container) => Ok(container),
            Element::Item(child) => child.container(),
        }
    }

    /// The element as a document of its own.
    ///
    /// # Errors
    /// It is damaged.
    pub fn json(&self) -> Result<Json<'a>, DamagedJsonb> {
        match self {
            Element::Document(container) => read(container),
            Element::Item(child) => child.json(0),
        }
    }

    /// What the element is.
    ///
    /// # Errors
    /// It is damaged.
    pub fn kind(&self) -> Result<Kind, DamagedJsonb> {
        match self {
            Element::Document(container) => match scalar(container)? {
                Some(child) => child.kind(),
                None => Ok(Kind::Container),
            },
            Element::Item(child) => child.kind(),
        }
    }

    /// The text of a string.
    ///
    /// # Errors
    /// It is no string, or damaged.
    pub fn text(&self) -> Result<&'a str, DamagedJsonb> {
        match self {
            Element::Document(container) => scalar(container)?.ok_or(DamagedJsonb(0))?.text(),
            Element::Item(child) => child.text(),
        }
    }

    /// Bytes of the element.
    pub fn bytes(&self) -> usize {
        match self {
            Element::Document(container) => container.len(),
            Element::Item(child) => child.bytes.len(),
        }
    }

    /// How many values it is, those within it included; what is nested too deep to be read is not counted.
    ///
    /// # Errors
    /// It is damaged.
    pub fn values(&self) -> Result<usize, DamagedJsonb> {
        match self {
            Element::Document(container) => values(container, 0),
            Element::Item(child) => child.values(0),
        }
    }
}

/// The value of a document that is a scalar, which jsonb holds as an array of one.
fn scalar(container: &[u8]) -> Result<Option<Child<'_>>, DamagedJsonb> {
    if word(container, 0)? & IS_SCALAR == 0 { Ok(None) } else { Children::of(container, 1)?.next().map(Some) }
}

pub(super) fn values(container: &[u8], depth: usize) -> Result<usize, DamagedJsonb> {
    if depth > DEEPEST {
        return Ok(1);
    }
    let mut counted = 1;
    each_child(container, |child| {
        counted += child.values(depth)?;
        Ok(())
    })?;
    Ok(counted)
}

/// Calls `body` with each value of an object or array.
fn each_child<'a>(
    container: &'a [u8],
    mut body: impl FnMut(Child<'a>) -> Result<(), DamagedJsonb>,
) -> Result<(), DamagedJsonb> {
    if is_object(container)? { each_member(container, |_, value| body(value)) } else { each_item(container, body) }
}

/// Whether a document holds a number whose text is much longer than its digits, or is nested too deep to tell.
///
/// # Errors
/// It is damaged.
pub fn may_hold_long_number(container: &[u8]) -> Result<bool, DamagedJsonb> {
    long_number(container, 0)
}

pub(super) fn long_number(container: &[u8], depth: usize) -> Result<bool, DamagedJsonb> {
    if depth > DEEPEST {
        return Ok(true);
    }
    let mut found = false;
    each_child(container, |child| {
        found = found || child.long_number(depth)?;
        Ok(())
    })?;
    Ok(found)
}

/// Splits a top-level array into its elements; any other document is its own single element. The
/// flag tells whether it was an array.
///
/// # Errors
/// The array is damaged; what is in its elements is not looked at.
pub fn elements(container: &[u8]) -> Result<(Elements<'_>, bool), DamagedJsonb> {
    let header = word(container, 0)?;
    if header & IS_ARRAY == 0 || header & IS_SCALAR != 0 {
        return Ok((Elements { document: Some(container), children: None, left: 1 }, false));
    }
    let count = (header & COUNT_MASK) as usize;
    Ok((Elements { document: None, children: Some(Children::of(container, count)?), left: count }, true))
}

/// The elements of a payload one after the other, so that no memory is taken for all of them.
#[derive(Clone)]
pub struct Elements<'a> {
    document: Option<&'a [u8]>,
    children: Option<Children<'a>>,
    left: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, DamagedJsonb>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.children {
            Some(children) => Some(children.next().map(Element::Item)),
            None => self.document.take().map(|document| Ok(Element::Document(document))),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}
