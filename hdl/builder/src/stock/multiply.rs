//! Multiplications that map to DSP blocks with their internal registers.

use crate::prelude::*;

macro_rules! multiply {
    ($name:ident, $kind:ident, $what:literal) => {
        #[doc = concat!("The ", $what, " product of two signals, exact, two enabled cycles later.")]
        ///
        /// The operands and the product are registered without reset, as the DSP blocks of FPGAs have it. Registers are
        /// named `NAME_a`, `NAME_b` and `NAME_product`; all of them hold while `enable` is false.
        #[track_caller]
        pub fn $name<D: Domain>(
            name: &str,
            enable: impl Source<Bool<D>>,
            a: impl Source<$kind<D>>,
            b: impl Source<$kind<D>>,
        ) -> $kind<D> {
            let (enable, a, b) = (enable.source(None), a.source(None), b.source(None));
            let a_reg = reg_uninit(format!("{name}_a"), $kind::<D>::of(a.width()));
            let b_reg = reg_uninit(format!("{name}_b"), $kind::<D>::of(b.width()));
            let product =
                reg_uninit(format!("{name}_product"), $kind::<D>::of(a.width() + b.width()));
            when(enable, || {
                a_reg.next(a);
                b_reg.next(b);
                product.next(a_reg * b_reg);
            });
            product.value()
        }
    };
}

multiply!(multiply_signed, SInt, "signed");
multiply!(multiply_unsigned, UInt, "unsigned");
