//! Reads the attributes of one struct into what `expand` writes out again.

use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, GenericArgument, Ident, LitInt, LitStr, PathArguments, Type,
};

/// A version range as Kafka writes it: `3`, `3-5` or `3+` (no upper end).
#[derive(Clone, Copy)]
pub(crate) struct Versions {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

impl Versions {
    pub(crate) const ALL: Self = Self { min: 0, max: i16::MAX };

    fn parse(text: &LitStr) -> Result<Self, Error> {
        let value = text.value();
        let number =
            |part: &str| part.parse::<i16>().map_err(|_| Error::new(text.span(), "expected `3`, `3-5` or `3+`"));
        let range = if let Some(min) = value.strip_suffix('+') {
            Self { min: number(min)?, max: i16::MAX }
        } else if let Some((min, max)) = value.split_once('-') {
            Self { min: number(min)?, max: number(max)? }
        } else {
            Self { min: number(&value)?, max: number(&value)? }
        };
        if range.min < 0 || range.max < range.min {
            return Err(Error::new(text.span(), "an empty version range"));
        }
        Ok(range)
    }
}

/// What a field holds, apart from being nullable.
pub(crate) enum Shape {
    /// A type with a Reader and a Writer method of its own.
    Scalar(&'static str),
    /// A nested struct that derives `Message`.
    Struct(Type),
    /// A list of scalars.
    ScalarList(&'static str),
    /// A list of nested structs.
    StructList(Type),
}

pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) shape: Shape,
    pub(crate) versions: Versions,
    /// `Some` for an `Option` field.
    pub(crate) nullable: Option<Versions>,
    pub(crate) tag: Option<u32>,
    pub(crate) default: Option<Expr>,
}

/// The `#[message(...)]` attribute of a whole message.
pub(crate) struct Root {
    pub(crate) key: Option<Ident>,
    pub(crate) versions: Versions,
    pub(crate) flexible: Option<i16>,
}

pub(crate) struct Struct {
    pub(crate) name: Ident,
    pub(crate) root: Option<Root>,
    pub(crate) fields: Vec<Field>,
}

impl Struct {
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self, Error> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new(input.span(), "a message is a struct"));
        };
        let fields = match &data.fields {
            Fields::Named(named) => named.named.iter().map(Field::parse).collect::<Result<_, _>>()?,
            Fields::Unit => Vec::new(),
            Fields::Unnamed(_) => return Err(Error::new(input.span(), "the fields of a message have names")),
        };
        if !input.generics.params.is_empty() {
            return Err(Error::new(input.generics.span(), "a message is not generic"));
        }
        Ok(Self { name: input.ident.clone(), root: Root::parse(&input.attrs)?, fields })
    }
}

impl Root {
    fn parse(attributes: &[Attribute]) -> Result<Option<Self>, Error> {
        let Some(attribute) = attributes.iter().find(|attribute| attribute.path().is_ident("message")) else {
            return Ok(None);
        };
        let mut root = Self { key: None, versions: Versions::ALL, flexible: None };
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("key") {
                root.key = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("versions") {
                root.versions = Versions::parse(&meta.value()?.parse()?)?;
            } else if meta.path.is_ident("flexible") {
                root.flexible = Some(Versions::parse(&meta.value()?.parse()?)?.min);
            } else {
                return Err(meta.error("expected `key`, `versions` or `flexible`"));
            }
            Ok(())
        })?;
        Ok(Some(root))
    }
}

impl Field {
    fn parse(field: &syn::Field) -> Result<Self, Error> {
        let name = field.ident.clone().ok_or_else(|| Error::new(field.span(), "the fields of a message have names"))?;
        let (inner, optional) = match argument_of(&field.ty, "Option") {
            Some(inner) => (inner, true),
            None => (&field.ty, false),
        };
        let shape = Shape::of(inner);
        let mut parsed = Self {
            name,
            shape,
            versions: Versions::ALL,
            nullable: optional.then_some(Versions::ALL),
            tag: None,
            default: None,
        };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("field")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("versions") {
                    parsed.versions = Versions::parse(&meta.value()?.parse()?)?;
                } else if meta.path.is_ident("nullable") {
                    if !optional {
                        return Err(meta.error("a nullable field is an `Option`"));
                    }
                    parsed.nullable = Some(Versions::parse(&meta.value()?.parse()?)?);
                } else if meta.path.is_ident("tag") {
                    parsed.tag = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
                } else if meta.path.is_ident("default") {
                    parsed.default = Some(meta.value()?.parse::<LitStr>()?.parse()?);
                } else {
                    return Err(meta.error("expected `versions`, `nullable`, `tag` or `default`"));
                }
                Ok(())
            })?;
        }
        parsed.check(field)?;
        Ok(parsed)
    }

    fn check(&self, field: &syn::Field) -> Result<(), Error> {
        let fixed = matches!(&self.shape, Shape::Scalar(method) if !matches!(*method, "string" | "bytes" | "records"));
        if self.nullable.is_some() && fixed {
            return Err(Error::new(field.ty.span(), "numbers, booleans and ids have no null on the wire"));
        }
        Ok(())
    }
}

impl Shape {
    fn of(ty: &Type) -> Self {
        if let Some(method) = scalar(ty) {
            return Self::Scalar(method);
        }
        match argument_of(ty, "Vec") {
            Some(element) => match scalar(element) {
                Some(method) => Self::ScalarList(method),
                None => Self::StructList(element.clone()),
            },
            None => Self::Struct(ty.clone()),
        }
    }
}

/// The Reader and Writer method of a scalar type.
fn scalar(ty: &Type) -> Option<&'static str> {
    let Type::Path(path) = ty else { return None };
    let name = path.path.segments.last()?.ident.to_string();
    Some(match name.as_str() {
        "bool" => "bool",
        "i8" => "i8",
        "i16" => "i16",
        "u16" => "u16",
        "i32" => "i32",
        "u32" => "u32",
        "i64" => "i64",
        "f64" => "f64",
        "Uuid" => "uuid",
        "ByteString" => "string",
        "Bytes" => "bytes",
        "Records" => "records",
        _ => return None,
    })
}

/// `T` of `Option<T>` or `Vec<T>`.
fn argument_of<'a>(ty: &'a Type, wrapper: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    if segment.ident != wrapper {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}
