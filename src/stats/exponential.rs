//! The exponential function, as `libm` has it to the last bit, in a third of the instructions.
//!
//! The method is that of FreeBSD's `e_exp.c`, on which `libm` builds; its notice:
//!
//! > Copyright (C) 2004 by Sun Microsystems, Inc. All rights reserved. Permission to use, copy, modify, and distribute
//! > this software is freely granted, provided that this notice is preserved.
//!
//! x = k ln 2 + r with |r| of at most ln 2 / 2; exp(r) is a rational function of r, exp(x) is 2^k times that. `libm` scales by
//! 2^k in a general function that allows for subnormal numbers and costs three quarters of the whole: where the result is a
//! normal number, adding to an exponent is the same. A day of one service of the fluid model takes 2.3 million of these.

/// ln 2 in two parts, the first of which has so few bits that its product with a power is exact.
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const INVERSE_LN2: f64 = std::f64::consts::LOG2_E;

/// r (exp(r) + 1) / (exp(r) - 1) as a polynomial in r², but for its first term, 2.
const P: [f64; 5] = [
    0.166_666_666_666_666_02,
    -0.002_777_777_777_701_559_3,
    6.613_756_321_437_934e-5,
    -1.653_390_220_546_525_2e-6,
    4.138_136_797_057_238_5e-8,
];

/// e to the power of `x`.
pub(crate) fn exp(x: f64) -> f64 {
    // As the original tells cases apart: by the upper half of the number.
    let high = (x.to_bits() >> 32) as u32 & 0x7fff_ffff;
    // |x| < 2^-28, and |x| > 690 or not a number: rare, and left to it.
    if !(0x3e30_0001..0x4085_9000).contains(&high) {
        return libm::exp(x);
    }
    let power = match high {
        // Up to ln 2 / 2.
        0..=0x3fd6_2e42 => 0,
        // Up to 3 ln 2 / 2.
        0x3fd6_2e43..=0x3ff0_a2b1 => 1 - 2 * i64::from(x < 0.0),
        _ => (INVERSE_LN2 * x + 0.5_f64.copysign(x)) as i64,
    };
    let (high, low) = (x - power as f64 * LN2_HIGH, power as f64 * LN2_LOW);
    let r = high - low;
    let square = r * r;
    let c = r - square * (P[0] + square * (P[1] + square * (P[2] + square * (P[3] + square * P[4]))));
    let of_rest = 1.0 + (r * c / (2.0 - c) - low + high);
    // The power is below 1000 and the other factor near 1: both factors and the product are normal numbers.
    of_rest * f64::from_bits(((1023 + power) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_its_cases_are_those_of_libm() {
        let half = 0.5 * std::f64::consts::LN_2;
        for edge in [0.0, 2.0_f64.powi(-28), half, 3.0 * half, 5.0 * half, 1.0, 690.0, 709.78, 745.0, f64::INFINITY] {
            for x in [edge, -edge] {
                let mut bits = x.to_bits().saturating_sub(70_000);
                while bits <= x.to_bits().saturating_add(70_000) {
                    let x = f64::from_bits(bits);
                    assert_eq!(exp(x).to_bits(), libm::exp(x).to_bits(), "{x:e}");
                    bits += 7;
                }
            }
        }
        for high in [0x3e30_0000_u64, 0x3e30_0001, 0x3fd6_2e42, 0x3fd6_2e43, 0x3ff0_a2b1, 0x3ff0_a2b2, 0x4085_9000] {
            for low in [0, 1, 0x8000_0000, 0xffff_ffff] {
                for sign in [0, 1 << 63] {
                    let x = f64::from_bits(sign | high << 32 | low);
                    assert_eq!(exp(x).to_bits(), libm::exp(x).to_bits(), "{x:e}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn it_is_that_of_libm_to_the_last_bit(near in -8.0..8.0f64, far in -700.0..700.0f64, any in any::<f64>()) {
            for x in [near, far, any] {
                prop_assert_eq!(exp(x).to_bits(), libm::exp(x).to_bits(), "{:e}", x);
            }
        }
    }
}
