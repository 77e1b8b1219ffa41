//! `#[derive(Encode, Decode)]` for `shared::cbor`. The attributes and the bytes are those of minicbor's own derives,
//! which the phone's core cannot afford: they unroll every struct twice. Knows structs with named fields, enums,
//! `#[n(index)]`, `#[cbor(index_only)]` and `#[cbor(transparent)]`; indexes of fields are dense, in order.

use proc_macro::TokenStream as Output;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, Data, DeriveInput, Error, Fields, Ident, LitInt, Result, Variant};

/// Derives `minicbor::Encode<()>`.
#[proc_macro_derive(Encode, attributes(n, cbor))]
pub fn encode(input: Output) -> Output {
    let input = syn::parse_macro_input!(input as DeriveInput);
    derive_encode(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Derives `minicbor::Decode<'_, ()>`.
#[proc_macro_derive(Decode, attributes(n, cbor))]
pub fn decode(input: Output) -> Output {
    let input = syn::parse_macro_input!(input as DeriveInput);
    derive_decode(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn derive_encode(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let body = match &input.data {
        Data::Struct(data) if is(&input.attrs, "transparent")? => {
            only_field(&data.fields)?;
            quote! { ::shared::cbor::Encode::encode(&self.0, __encoder, __context) }
        }
        Data::Struct(data) => {
            let names = field_names(&data.fields)?;
            let array = encode_array(&names);
            quote! { let Self { #(#names),* } = self; #array }
        }
        Data::Enum(data) => {
            let variants: Vec<&Variant> = data.variants.iter().collect();
            let (names, indexes) = (idents(&variants), variant_indexes(&variants)?);
            if is(&input.attrs, "index_only")? {
                quote! { __encoder.u32(match self { #(Self::#names => #indexes),* })?.ok() }
            } else {
                let arms =
                    variants.iter().zip(indexes).map(|(variant, index)| encode_variant(variant, index));
                let arms = arms.collect::<Result<Vec<_>>>()?;
                quote! { match self { #(#arms),* } }
            }
        }
        Data::Union(_) => return Err(Error::new_spanned(name, "a union has no wire form")),
    };
    Ok(quote! {
        impl ::shared::cbor::Encode<()> for #name {
            fn encode<W: ::shared::cbor::Write>(
                &self,
                __encoder: &mut ::shared::cbor::Encoder<W>,
                __context: &mut (),
            ) -> ::core::result::Result<(), ::shared::cbor::EncodeError<W::Error>> {
                #body
            }
        }
    })
}

fn encode_variant(variant: &Variant, index: u32) -> Result<TokenStream> {
    let name = &variant.ident;
    let names = field_names(&variant.fields)?;
    let array = encode_array(&names);
    let pattern = match &variant.fields {
        Fields::Named(_) => quote! { Self::#name { #(#names),* } },
        Fields::Unnamed(_) => quote! { Self::#name(#(#names),*) },
        Fields::Unit => quote! { Self::#name },
    };
    Ok(quote! { #pattern => { __encoder.array(2)?.u32(#index)?; #array } })
}

/// An array without the empty fields at its end.
fn encode_array(names: &[Ident]) -> TokenStream {
    if names.is_empty() {
        return quote! { __encoder.array(0)?.ok() };
    }
    let (lengths, places) = (1u64.., 0u64..);
    quote! {
        let mut __len = 0u64;
        #( if !::shared::cbor::Encode::<()>::is_nil(#names) { __len = #lengths; } )*
        __encoder.array(__len)?;
        #( if __len > #places { ::shared::cbor::Encode::encode(#names, __encoder, __context)?; } )*
        Ok(())
    }
}

fn derive_decode(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let body = match &input.data {
        Data::Struct(data) if is(&input.attrs, "transparent")? => {
            only_field(&data.fields)?;
            quote! { ::shared::cbor::Decode::decode(__decoder, __context).map(Self) }
        }
        Data::Struct(data) => decode_array(quote! { Self }, &data.fields)?,
        Data::Enum(data) => {
            let variants: Vec<&Variant> = data.variants.iter().collect();
            let (names, indexes) = (idents(&variants), variant_indexes(&variants)?);
            if is(&input.attrs, "index_only")? {
                quote! {
                    match __decoder.u32()? {
                        #(#indexes => Ok(Self::#names),)*
                        other => Err(::shared::cbor::unknown_variant(other)),
                    }
                }
            } else {
                let arms = variants.iter().map(|variant| {
                    let name = &variant.ident;
                    decode_array(quote! { Self::#name }, &variant.fields)
                });
                let arms = arms.collect::<Result<Vec<_>>>()?;
                quote! {
                    match ::shared::cbor::variant(__decoder)? {
                        #(#indexes => { #arms })*
                        other => Err(::shared::cbor::unknown_variant(other)),
                    }
                }
            }
        }
        Data::Union(_) => return Err(Error::new_spanned(name, "a union has no wire form")),
    };
    Ok(quote! {
        impl<'bytes> ::shared::cbor::Decode<'bytes, ()> for #name {
            fn decode(
                __decoder: &mut ::shared::cbor::Decoder<'bytes>,
                __context: &mut (),
            ) -> ::core::result::Result<Self, ::shared::cbor::DecodeError> {
                #body
            }
        }
    })
}

fn decode_array(name: TokenStream, fields: &Fields) -> Result<TokenStream> {
    let names = field_names(fields)?;
    let value = match fields {
        Fields::Named(_) => quote! { #name { #(#names),* } },
        Fields::Unnamed(_) => quote! { #name(#(#names),*) },
        Fields::Unit => quote! { #name },
    };
    Ok(quote! {
        let mut __fields = ::shared::cbor::Fields::begin(__decoder)?;
        #( let #names = __fields.next(__decoder, __context)?; )*
        __fields.end(__decoder)?;
        Ok(#value)
    })
}

fn idents<'a>(variants: &[&'a Variant]) -> Vec<&'a Ident> {
    variants.iter().map(|variant| &variant.ident).collect()
}

fn only_field(fields: &Fields) -> Result<()> {
    match fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Ok(()),
        _ => Err(Error::new_spanned(fields, "transparent: one field without a name")),
    }
}

/// A name for every field, after checking their indexes.
fn field_names(fields: &Fields) -> Result<Vec<Ident>> {
    check_indexes(fields.iter().map(|field| (syn::spanned::Spanned::span(field), &field.attrs)))?;
    let name = |(place, field): (usize, &syn::Field)| {
        field.ident.clone().unwrap_or_else(|| format_ident!("field{place}"))
    };
    Ok(fields.iter().enumerate().map(name).collect())
}

/// Fields are read in order, so theirs are dense.
fn check_indexes<'a>(items: impl Iterator<Item = (Span, &'a Vec<Attribute>)>) -> Result<()> {
    for (place, (span, attributes)) in (0..).zip(items) {
        if index(span, attributes)? != place {
            return Err(Error::new(span, format!("the next index is {place}")));
        }
    }
    Ok(())
}

/// Variants may stand in any order, each with a number of its own.
fn variant_indexes(variants: &[&Variant]) -> Result<Vec<u32>> {
    let mut indexes = Vec::new();
    for variant in variants {
        let index = index(variant.ident.span(), &variant.attrs)?;
        if indexes.contains(&index) {
            return Err(Error::new_spanned(variant, format!("{index} is taken")));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

fn index(span: Span, attributes: &[Attribute]) -> Result<u32> {
    let index = attributes.iter().find(|attribute| attribute.path().is_ident("n"));
    let index = index.ok_or_else(|| Error::new(span, "#[n(index)] is missing"))?;
    index.parse_args::<LitInt>()?.base10_parse()
}

fn is(attributes: &[Attribute], word: &str) -> Result<bool> {
    let mut found = false;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cbor")) {
        let given = attribute.parse_args::<Ident>()?;
        match given.to_string().as_str() {
            "index_only" | "transparent" => found |= given == word,
            _ => return Err(Error::new_spanned(given, "only index_only and transparent are known")),
        }
    }
    Ok(found)
}
