//! Writes the trait implementations of one parsed struct.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::schema::{Field, Root, Shape, Struct, Versions};

pub(crate) fn expand(parsed: &Struct) -> TokenStream {
    let message = message(parsed);
    let default = default(parsed);
    let root = parsed.root.as_ref().map(|root| root_traits(parsed, root));
    quote! {
        #[automatically_derived]
        const _: () = {
            use ::goatq_protocol::wire;
            #default
            #message
            #root
        };
    }
}

fn default(parsed: &Struct) -> TokenStream {
    let name = &parsed.name;
    let values = parsed.fields.iter().map(|field| {
        let field_name = &field.name;
        match &field.default {
            Some(value) => quote!(#field_name: #value),
            None => quote!(#field_name: ::core::default::Default::default()),
        }
    });
    quote! {
        impl ::core::default::Default for #name {
            fn default() -> Self {
                Self { #(#values,)* }
            }
        }
    }
}

fn message(parsed: &Struct) -> TokenStream {
    let name = &parsed.name;
    let fields = parsed.fields.iter().map(describe);
    let decode_plain = parsed.fields.iter().filter(|field| field.tag.is_none()).map(|field| {
        let target = &field.name;
        let value = decode_value(field);
        guarded(field.versions, quote!(message.#target = #value;))
    });
    let encode_plain = parsed
        .fields
        .iter()
        .filter(|field| field.tag.is_none())
        .map(|field| guarded(field.versions, encode_value(field)));
    let tagged: Vec<&Field> = parsed.fields.iter().filter(|field| field.tag.is_some()).collect();
    let decode_tags = decode_tags(&tagged);
    let encode_tags = encode_tags(&tagged);
    let mutable = (!parsed.fields.is_empty()).then(|| quote!(mut));
    quote! {
        impl wire::Message for #name {
            const FIELDS: &'static [wire::Field] = &[#(#fields,)*];

            fn decode(r: &mut wire::Reader, version: i16) -> ::core::result::Result<Self, wire::DecodeError> {
                let _ = version;
                let #mutable message = Self::default();
                #(#decode_plain)*
                #decode_tags
                ::core::result::Result::Ok(message)
            }

            fn encode(&self, w: &mut wire::Writer, version: i16) -> ::core::result::Result<(), wire::EncodeError> {
                let _ = version;
                #(#encode_plain)*
                #encode_tags
                ::core::result::Result::Ok(())
            }
        }
    }
}

fn root_traits(parsed: &Struct, root: &Root) -> TokenStream {
    let name = &parsed.name;
    let Versions { min, max } = root.versions;
    let flexible = match root.flexible {
        Some(from) => quote!(::core::option::Option::Some(#from)),
        None => quote!(::core::option::Option::None),
    };
    let api = root.key.as_ref().map(|key| {
        let text = name.to_string();
        let key = quote!(::goatq_protocol::ApiKey::#key);
        if let Some(stem) = text.strip_suffix("Request") {
            let response = format_ident!("{stem}Response");
            quote! { impl wire::Request for #name { type Response = #response; const KEY: ::goatq_protocol::ApiKey = #key; } }
        } else {
            quote! { impl wire::Response for #name { const KEY: ::goatq_protocol::ApiKey = #key; } }
        }
    });
    quote! {
        impl wire::Versioned for #name {
            const VERSIONS: wire::VersionRange = wire::VersionRange::new(#min, #max);
            const FLEXIBLE_FROM: ::core::option::Option<i16> = #flexible;
        }
        #api
    }
}

/// The condition under which a version is in the range; `None` when it always is.
fn condition(versions: Versions) -> Option<TokenStream> {
    let Versions { min, max } = versions;
    match (min, max) {
        (0, i16::MAX) => None,
        (0, max) => Some(quote!(version <= #max)),
        (min, i16::MAX) => Some(quote!(version >= #min)),
        (min, max) if min == max => Some(quote!(version == #min)),
        (min, max) => Some(quote!((#min..=#max).contains(&version))),
    }
}

fn guarded(versions: Versions, body: TokenStream) -> TokenStream {
    match condition(versions) {
        Some(condition) => quote!(if #condition { #body }),
        None => body,
    }
}

/// Whether null can be written in `version`, as an expression.
fn may_be_null(nullable: Versions) -> TokenStream {
    condition(nullable).unwrap_or_else(|| quote!(true))
}

fn decode_value(field: &Field) -> TokenStream {
    match (&field.shape, field.nullable) {
        (Shape::Scalar(method), None) => {
            let method = format_ident!("{method}");
            quote!(r.#method()?)
        }
        (Shape::Scalar(method), Some(nullable)) => {
            let (method, nullable) = (format_ident!("opt_{method}"), may_be_null(nullable));
            quote!(r.#method(#nullable)?)
        }
        (Shape::Struct(_), None) => quote!(wire::Message::decode(r, version)?),
        (Shape::Struct(_), Some(_)) => quote!(r.opt_struct(version)?),
        (Shape::ScalarList(_), None) => quote!(r.list()?),
        (Shape::ScalarList(_), Some(nullable)) => {
            let nullable = may_be_null(nullable);
            quote!(r.opt_list(#nullable)?)
        }
        (Shape::StructList(_), None) => quote!(r.array(version)?),
        (Shape::StructList(_), Some(nullable)) => {
            let nullable = may_be_null(nullable);
            quote!(r.opt_array(#nullable, version)?)
        }
    }
}

fn encode_value(field: &Field) -> TokenStream {
    let name = &field.name;
    match (&field.shape, field.nullable) {
        (Shape::Scalar(method @ ("string" | "bytes" | "records")), None) => {
            let method = format_ident!("{method}");
            quote!(w.#method(&self.#name)?;)
        }
        (Shape::Scalar(method), None) => {
            let method = format_ident!("{method}");
            quote!(w.#method(self.#name);)
        }
        (Shape::Scalar(method), Some(nullable)) => {
            let (method, nullable) = (format_ident!("opt_{method}"), may_be_null(nullable));
            quote!(w.#method(self.#name.as_ref(), #nullable)?;)
        }
        (Shape::Struct(_), None) => quote!(wire::Message::encode(&self.#name, w, version)?;),
        (Shape::Struct(_), Some(_)) => quote!(w.opt_struct(self.#name.as_ref(), version)?;),
        (Shape::ScalarList(_), None) => quote!(w.list(&self.#name)?;),
        (Shape::ScalarList(_), Some(nullable)) => {
            let nullable = may_be_null(nullable);
            quote!(w.opt_list(self.#name.as_deref(), #nullable)?;)
        }
        (Shape::StructList(_), None) => quote!(w.array(&self.#name, version)?;),
        (Shape::StructList(_), Some(nullable)) => {
            let nullable = may_be_null(nullable);
            quote!(w.opt_array(self.#name.as_deref(), #nullable, version)?;)
        }
    }
}

fn decode_tags(tagged: &[&Field]) -> TokenStream {
    if tagged.is_empty() {
        return quote!(r.skip_tags()?;);
    }
    let arms = tagged.iter().map(|field| {
        let (id, target, value) = (field.tag, &field.name, decode_value(field));
        let guard = condition(field.versions).map(|condition| quote!(if #condition));
        quote!(#id #guard => message.#target = #value,)
    });
    quote! {
        let mut tags = r.tags()?;
        while let ::core::option::Option::Some(tag) = r.next_tag(&mut tags)? {
            match tag.id {
                #(#arms)*
                _ => r.skip_tag(&tag),
            }
            r.end_tag(tag)?;
        }
    }
}

fn encode_tags(tagged: &[&Field]) -> TokenStream {
    if tagged.is_empty() {
        return quote!(w.no_tags(););
    }
    let present: Vec<TokenStream> = tagged
        .iter()
        .map(|field| {
            let differs = differs_from_default(field);
            match condition(field.versions) {
                Some(condition) => quote!(#condition && #differs),
                None => differs,
            }
        })
        .collect();
    let writes = tagged.iter().zip(&present).map(|(field, present)| {
        let (id, write) = (field.tag, encode_value(field));
        quote!(if #present { let mark = w.begin_tag(#id); #write w.end_tag(mark)?; })
    });
    quote! {
        if w.flexible() {
            let mut count = 0;
            #(if #present { count += 1; })*
            w.uvarint(count);
            #(#writes)*
        }
    }
}

/// A tagged field is only written when it says something.
fn differs_from_default(field: &Field) -> TokenStream {
    let name = &field.name;
    match (&field.shape, field.nullable, &field.default) {
        (_, Some(_), _) => quote!(self.#name.is_some()),
        (Shape::ScalarList(_) | Shape::StructList(_) | Shape::Scalar("string" | "bytes" | "records"), None, _) => {
            quote!(!self.#name.is_empty())
        }
        (Shape::Scalar("bool"), None, None) => quote!(self.#name),
        (_, None, Some(value)) => quote!(self.#name != #value),
        (_, None, None) => quote!(self.#name != ::core::default::Default::default()),
    }
}

/// The `wire::Field` that tells tools and tests what the field is.
fn describe(field: &Field) -> TokenStream {
    let name = field.name.to_string();
    let kind = match &field.shape {
        Shape::Scalar(method) => kind_of(method),
        Shape::Struct(ty) => quote!(wire::Kind::Struct(<#ty as wire::Message>::FIELDS)),
        Shape::ScalarList(method) => {
            let element = kind_of(method);
            quote!(wire::Kind::Array(&#element))
        }
        Shape::StructList(ty) => quote!(wire::Kind::Array(&wire::Kind::Struct(<#ty as wire::Message>::FIELDS))),
    };
    let range = |versions: Versions| {
        let Versions { min, max } = versions;
        quote!(wire::VersionRange::new(#min, #max))
    };
    let versions = range(field.versions);
    let nullable = match field.nullable {
        Some(nullable) => range(nullable),
        None => quote!(wire::VersionRange::NONE),
    };
    let tag = match field.tag {
        Some(tag) => quote!(::core::option::Option::Some(#tag)),
        None => quote!(::core::option::Option::None),
    };
    quote!(wire::Field { name: #name, kind: #kind, versions: #versions, nullable: #nullable, tag: #tag })
}

fn kind_of(method: &str) -> TokenStream {
    let variant = match method {
        "bool" => "Bool",
        "i8" => "Int8",
        "i16" => "Int16",
        "u16" => "Uint16",
        "i32" => "Int32",
        "u32" => "Uint32",
        "i64" => "Int64",
        "f64" => "Float64",
        "uuid" => "Uuid",
        "string" => "String",
        "bytes" => "Bytes",
        _ => "Records",
    };
    let variant = format_ident!("{variant}");
    quote!(wire::Kind::#variant)
}
