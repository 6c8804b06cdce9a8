//! The elements of a payload: the items of a top-level array, or the document itself. They are read one after the
//! other, so that a payload of millions takes no memory.

use super::{
    COUNT_MASK, Child, Children, DEEPEST, DamagedJsonb, IS_ARRAY, IS_OBJECT, IS_SCALAR, Kind, each_item, each_member,
    is_object, read, word,
};
use crate::json::Json;

/// One element of a payload: an item of a top-level jsonb array, or the document itself.
#[derive(Debug, Clone, Copy)]
pub enum Element<'a> {
    /// A document that is not an array.
    Document(&'a [u8]),
    /// An item of a document that is an array.
    Item(Child<'a>),
}

impl<'a> Element<'a> {
    /// The element's own container, if the element is an object or an array: the bytes that follow the varlena header
    /// of a jsonb that holds only this element. `None` for a scalar.
    pub fn container(&self) -> Option<&'a [u8]> {
        match self {
            Element::Document(container) => {
                word(container, 0).is_ok_and(|header| header & IS_OBJECT != 0).then_some(container)
            }
            Element::Item(child) => child.container().ok(),
        }
    }

    /// The container of an element that the caller knows to be an object or an array.
    ///
    /// # Errors
    /// The element is an item that is neither.
    pub fn any_container(&self) -> Result<&'a [u8], DamagedJsonb> {
        match self {
            Element::Document(container) => Ok(container),
            Element::Item(child) => child.container(),
        }
    }

    /// The element as a document of its own.
    ///
    /// # Errors
    /// The element is damaged.
    pub fn json(&self) -> Result<Json<'a>, DamagedJsonb> {
        match self {
            Element::Document(container) => read(container),
            Element::Item(child) => child.json(0),
        }
    }

    /// The type of the element.
    ///
    /// # Errors
    /// The element is damaged.
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
    /// The element is not a string, or is damaged.
    pub fn text(&self) -> Result<&'a str, DamagedJsonb> {
        match self {
            Element::Document(container) => scalar(container)?.ok_or(DamagedJsonb(0))?.text(),
            Element::Item(child) => child.text(),
        }
    }

    /// How many bytes the element has.
    pub fn bytes(&self) -> usize {
        match self {
            Element::Document(container) => container.len(),
            Element::Item(child) => child.bytes.len(),
        }
    }

    /// How many values the element is, including the values within it. Values that are nested too deep to be read are
    /// not counted.
    ///
    /// # Errors
    /// The element is damaged.
    pub fn values(&self) -> Result<usize, DamagedJsonb> {
        match self {
            Element::Document(container) => values(container, 0),
            Element::Item(child) => child.values(0),
        }
    }
}

/// The value of a document that is a scalar, which jsonb holds as an array of one; `None` for any other document.
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

/// Calls `body` with each value of an object or an array.
fn each_child<'a>(
    container: &'a [u8],
    mut body: impl FnMut(Child<'a>) -> Result<(), DamagedJsonb>,
) -> Result<(), DamagedJsonb> {
    if is_object(container)? { each_member(container, |_, value| body(value)) } else { each_item(container, body) }
}

/// Whether a document holds a number whose text is much longer than its digits. It is also true if the document is
/// nested too deep to tell.
///
/// # Errors
/// The document is damaged.
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

/// Splits a top-level array into its elements. Any other document is its own single element. The flag tells whether the
/// document is an array.
///
/// # Errors
/// The array is damaged. The content of its elements is not checked.
pub fn elements(container: &[u8]) -> Result<(Elements<'_>, bool), DamagedJsonb> {
    let header = word(container, 0)?;
    if header & IS_ARRAY == 0 || header & IS_SCALAR != 0 {
        return Ok((Elements { document: Some(container), children: None, left: 1 }, false));
    }
    let count = (header & COUNT_MASK) as usize;
    Ok((Elements { document: None, children: Some(Children::of(container, count)?), left: count }, true))
}

/// The elements of a payload, one after the other, so that no memory is taken for all of them.
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
