//! Kinds of things by name: an enum that can list itself.

/// An enum of plain names and the list of all of them.
macro_rules! kinds {
    ($(#[$about:meta])* $kind:ident: $($(#[$doc:meta])* $name:ident,)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $($(#[$doc])* $name,)* }

        impl $kind {
            /// Every kind.
            pub const ALL: &'static [$kind] = &[$($kind::$name,)*];

            /// The kind of that name.
            pub fn named(name: &str) -> Option<$kind> {
                $kind::ALL.iter().copied().find(|kind| format!("{kind:?}") == name)
            }
        }
    };
}
pub(crate) use kinds;
