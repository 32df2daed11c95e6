//! Which distributions share a layer. A pure function of the distributions.
//!
//! Each layer but one holds a single distribution (or those that share a file); the largest have them. The rest is in
//! one. So a package that is added or upgraded changes the layer it is in, and at most one more: where it takes the
//! place of another among the largest, that one moves to the rest. Sizes count by classes a factor of about
//! 1.4 apart, so that hardly any upgrade changes who is among the largest.

/// What cannot be divided: a distribution, or several that share a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// What decides between units of one size: the name of its first distribution.
    pub name: String,
    /// How many bytes it takes in a layer, about.
    pub bytes: u64,
}

/// Positions of units by layer, at most `budget` (at least 1) layers: the largest alone, by name, and last the rest.
pub(crate) fn group(units: &[Unit], budget: usize) -> Vec<Vec<usize>> {
    let by_name = |positions: &mut Vec<usize>| positions.sort_by(|&a, &b| units[a].name.cmp(&units[b].name));
    let mut order: Vec<usize> = (0..units.len()).collect();
    by_name(&mut order);
    if units.len() <= budget {
        return order.into_iter().map(|position| vec![position]).collect();
    }
    order.sort_by_key(|&position| std::cmp::Reverse(class(units[position].bytes)));
    let mut rest = order.split_off(budget.saturating_sub(1));
    by_name(&mut order);
    by_name(&mut rest);
    let mut layers: Vec<Vec<usize>> = order.into_iter().map(|position| vec![position]).collect();
    layers.push(rest);
    layers
}

/// Twice the logarithm to base 2, rounded down.
fn class(bytes: u64) -> u32 {
    let Some(log) = bytes.checked_ilog2() else { return 0 };
    // Whether the upper half of the way (by factors) is passed: 181/128 is nearly the root of 2.
    let upper = u128::from(bytes) * 128 >= (181_u128 << log);
    2 * log + u32::from(upper)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn units(sizes: &[(&str, u64)]) -> Vec<Unit> {
        sizes.iter().map(|(name, bytes)| Unit { name: (*name).to_owned(), bytes: *bytes }).collect()
    }

    fn names(units: &[Unit], budget: usize) -> Vec<Vec<&str>> {
        let name = |position: usize| units[position].name.as_str();
        group(units, budget).into_iter().map(|layer| layer.into_iter().map(name).collect()).collect()
    }

    #[test]
    fn the_largest_are_alone_and_the_rest_together() {
        let units = units(&[("six", 10), ("numpy", 9000), ("idna", 40), ("pandas", 20_000), ("attrs", 60)]);
        assert_eq!(names(&units, 3), [vec!["numpy"], vec!["pandas"], vec!["attrs", "idna", "six"]]);
        assert_eq!(names(&units, 1), [vec!["attrs", "idna", "numpy", "pandas", "six"]]);
        assert_eq!(names(&units, 9), [["attrs"], ["idna"], ["numpy"], ["pandas"], ["six"]]);
        assert!(names(&[], 9).is_empty());
    }

    #[test]
    fn a_little_more_or_less_is_the_same_size() {
        for bytes in [1_u64, 500, 1000, 123_456, 1 << 30] {
            assert!(class(bytes) <= class(bytes + 1) && class(bytes + bytes / 2) <= class(bytes) + 2);
        }
        assert_eq!((class(0), class(1), class(2), class(3), class(4)), (0, 0, 2, 3, 4));
        assert_eq!(class(20_000_000), class(20_500_000));
    }

    /// A layer as what is in it: names and sizes, since another size is another content.
    fn contents(units: &[Unit], budget: usize) -> BTreeSet<BTreeSet<(String, u64)>> {
        let item = |position: usize| (units[position].name.clone(), units[position].bytes);
        group(units, budget).into_iter().map(|layer| layer.into_iter().map(item).collect()).collect()
    }

    proptest! {
        #[test]
        fn one_package_changes_its_layer_and_at_most_one_more(
            sizes in proptest::collection::vec(1_u64..2_000_000, 1..40), budget in 1_usize..20,
            which in 0_usize..40, size in 1_u64..2_000_000, add in proptest::bool::ANY,
        ) {
            let before: Vec<Unit> = (0..).zip(&sizes).map(|(at, &bytes)| Unit { name: format!("p{at}"), bytes }).collect();
            let mut after = before.clone();
            if add || which >= after.len() {
                after.push(Unit { name: "new".to_owned(), bytes: size });
            } else {
                after[which].bytes = size;
            }
            let (before, after) = (contents(&before, budget), contents(&after, budget));
            prop_assert!(after.len() <= budget);
            let new = after.difference(&before).count();
            // From one unit for each layer to a layer of the rest, the last two move together once.
            prop_assert!(new <= 2, "{new}");
        }

        #[test]
        fn every_unit_is_in_one_layer_whatever_the_order(
            sizes in proptest::collection::vec(0_u64..5000, 0..30), budget in 1_usize..20, turn in 0_usize..30,
        ) {
            let mut units: Vec<Unit> = (0..).zip(&sizes).map(|(at, &bytes)| Unit { name: format!("p{at:02}"), bytes }).collect();
            let first = contents(&units, budget);
            let all: usize = group(&units, budget).iter().map(Vec::len).sum();
            prop_assert_eq!(all, units.len());
            if !units.is_empty() {
                let turn = turn % units.len();
                units.rotate_left(turn);
            }
            prop_assert_eq!(contents(&units, budget), first);
        }
    }
}
