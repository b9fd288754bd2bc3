//! Derive macros of `rtl-builder`. Use them through that crate, where the traits are documented.

use proc_macro::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Lit, Meta, parse_macro_input, parse_quote};

/// Implements `Bundle` for a struct whose fields all are bundles.
#[proc_macro_derive(Bundle)]
pub fn derive_bundle(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    walk(
        input,
        "Bundle",
        quote!(::rtl_builder::bundle::Bundle),
        "walk",
        quote!(::rtl_builder::bundle::Walk<'_>),
        true,
    )
    .unwrap_or_else(syn::Error::into_compile_error)
    .into()
}

/// Implements `Ports` for a struct whose fields all are ports.
#[proc_macro_derive(Ports)]
pub fn derive_ports(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let walker = quote!(::rtl_builder::ports::PortWalk<'_>);
    walk(input, "Ports", quote!(::rtl_builder::ports::Ports), "walk_ports", walker, false)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `State` for an enum without payload: variants are numbered from 0 in order.
#[proc_macro_derive(State)]
pub fn derive_state(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    state(input).unwrap_or_else(syn::Error::into_compile_error).into()
}

fn walk(
    input: DeriveInput,
    derive: &str,
    trait_path: proc_macro2::TokenStream,
    method: &str,
    walker: proc_macro2::TokenStream,
    poison: bool,
) -> syn::Result<proc_macro2::TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(
            &input.ident,
            format!("`{derive}` can be derived for structs only"),
        ));
    };
    let method = format_ident!("{method}");
    let name = &input.ident;
    let mut generics = input.generics.clone();
    let field_types: Vec<_> = data.fields.iter().map(|field| field.ty.clone()).collect();
    if !generics.params.is_empty() {
        let bounds = generics.make_where_clause();
        for ty in &field_types {
            bounds.predicates.push(parse_quote!(#ty: #trait_path));
        }
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let docs: Vec<String> = data.fields.iter().map(|field| doc_of(&field.attrs)).collect();
    let (walked, poisoned) = match &data.fields {
        Fields::Named(fields) => {
            let members: Vec<_> =
                fields.named.iter().filter_map(|field| field.ident.clone()).collect();
            let names: Vec<String> = members
                .iter()
                .map(|member| member.to_string().trim_start_matches("r#").to_owned())
                .collect();
            (
                quote!(Self { #(#members: walk.field(#names, #docs, &self.#members),)* }),
                quote!(Self { #(#members: #trait_path::poison(),)* }),
            )
        }
        Fields::Unnamed(fields) => {
            let indices: Vec<syn::Index> =
                (0..fields.unnamed.len()).map(syn::Index::from).collect();
            let names: Vec<String> = indices.iter().map(|index| index.index.to_string()).collect();
            let paths = indices.iter().map(|_| &trait_path);
            (
                quote!(Self(#(walk.field(#names, #docs, &self.#indices),)*)),
                quote!(Self(#(#paths::poison(),)*)),
            )
        }
        Fields::Unit => (quote!(Self), quote!(Self)),
    };
    let poison = poison.then(|| {
        quote! {
            fn poison() -> Self {
                #poisoned
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #trait_path for #name #type_generics #where_clause {
            #[allow(unused_variables)]
            fn #method(&self, walk: &mut #walker) -> Self {
                #walked
            }
            #poison
        }
    })
}

fn state(input: DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(syn::Error::new_spanned(&input.ident, "`State` can be derived for enums only"));
    };
    if data.variants.is_empty() {
        return Err(syn::Error::new_spanned(
            &input.ident,
            "a state machine needs at least one state",
        ));
    }
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) || variant.discriminant.is_some() {
            let message = "states carry no payload and no number; keep data in registers";
            return Err(syn::Error::new_spanned(variant, message));
        }
    }
    let name = &input.ident;
    let text = name.to_string();
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let names: Vec<String> = variants.iter().map(ToString::to_string).collect();
    let codes = 0..variants.len() as u64;
    Ok(quote! {
        #[automatically_derived]
        impl ::rtl_builder::fsm::State for #name {
            const NAME: &'static str = #text;
            const STATES: &'static [&'static str] = &[#(#names),*];
            const ALL: &'static [Self] = &[#(#name::#variants),*];
            fn code(self) -> u64 {
                match self {
                    #(#name::#variants => #codes,)*
                }
            }
        }
    })
}

/// The first paragraph of a field's doc comment, in one line.
fn doc_of(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(text) = &literal.lit
        {
            let line = text.value().trim().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
    }
    lines.join(" ")
}
