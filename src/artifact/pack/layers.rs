//! Which distributions share a layer. A pure function of the distributions.
//!
//! The largest have a layer each. The others share one with those of about their size: a change sends all of a layer, so what
//! is large must not lie with many that change. Whose layer a small one shares hangs on its own size alone, not on what else
//! there is.
//!
//! So a package that is added or removed changes the layer it is in, and at most one more: where it takes the place of another
//! among the largest, that one goes to those of its size. The same is true of an upgrade, unless it takes a package from one
//! class of sizes to another: that changes the layer it leaves, too. Which are the largest counts by classes a factor of
//! about 1.4 apart, so that hardly any upgrade changes who is among them.

/// What cannot be divided: a distribution, or several that share a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// What decides between units of one size: the name of its first distribution.
    pub name: String,
    /// How many bytes it takes in a layer, about.
    pub bytes: u64,
}

/// Changes whenever the same distributions would be grouped in another way, so that layers that were kept under it are not
/// taken.
pub(crate) const GROUPING: u32 = 2;

/// Where the classes of those that share a layer begin, in bytes: powers of two, as `class` has them. The first ones count where
/// there is room for few layers.
///
/// Of all bounds, these and four alone gave the fewest bytes to send where one package of the benchmark's larger sets changes, each
/// as likely as the others, without the largest of the shared layers being much larger than the largest packages.
const BOUNDS: [u64; 4] = [2 << 20, 256 << 10, 8 << 20, 16 << 20];

/// Positions of units by layer, at most `budget` (at least 1) layers: the largest alone, by name, then the others, larger ones
/// first, each layer by name. Where there are enough units there are as many layers as may be.
pub(crate) fn group(units: &[Unit], budget: usize) -> Vec<Vec<usize>> {
    // At least half of the layers are for those that are alone.
    let bounds = &BOUNDS[..(budget.saturating_sub(1) / 2).min(BOUNDS.len())];
    let shared = |position: usize| bounds.iter().filter(|&&bound| units[position].bytes >= bound).count();
    let mut rest: Vec<usize> = (0..units.len()).collect();
    rest.sort_by(|&a, &b| {
        class(units[b].bytes).cmp(&class(units[a].bytes)).then_with(|| units[a].name.cmp(&units[b].name))
    });
    // One alone is a layer more, unless it was the last of its class, which come one after the other.
    let mut layers = rest.chunk_by(|&a, &b| shared(a) == shared(b)).count();
    let mut alone = 0;
    while let Some(&first) = rest.get(alone) {
        layers += usize::from(rest.get(alone + 1).is_some_and(|&next| shared(next) == shared(first)));
        if layers > budget {
            break;
        }
        alone += 1;
    }
    let others = rest.split_off(alone);
    let by_name = |positions: &mut [usize]| positions.sort_by(|&a, &b| units[a].name.cmp(&units[b].name));
    by_name(&mut rest);
    let mut layers: Vec<Vec<usize>> = rest.into_iter().map(|position| vec![position]).collect();
    layers.extend(others.chunk_by(|&a, &b| shared(a) == shared(b)).map(<[usize]>::to_vec));
    for layer in &mut layers {
        by_name(layer);
    }
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

    /// Whoever changes what is expected here raises [`GROUPING`].
    #[test]
    fn the_largest_are_alone_and_the_others_with_those_of_their_size() {
        let (kib, mib) = (1 << 10, 1 << 20);
        let units = units(&[
            ("six", 10 * kib),
            ("numpy", 17 * mib),
            ("idna", 40 * kib),
            ("pandas", 12 * mib),
            ("attrs", 60 * kib),
            ("lxml", 5 * mib),
            ("pillow", 7 * mib),
        ]);
        let small = vec!["attrs", "idna", "six"];
        assert_eq!(names(&units, 1), [["attrs", "idna", "lxml", "numpy", "pandas", "pillow", "six"]]);
        assert_eq!(
            names(&units, 2),
            [vec!["numpy"], vec!["attrs", "idna", "lxml", "pandas", "pillow", "six"]]
        );
        assert_eq!(names(&units, 3), [vec!["numpy"], vec!["lxml", "pandas", "pillow"], small.clone()]);
        assert_eq!(names(&units, 4), [vec!["numpy"], vec!["pandas"], vec!["lxml", "pillow"], small.clone()]);
        let most = [vec!["lxml"], vec!["numpy"], vec!["pandas"], vec!["pillow"], small.clone()];
        assert_eq!(names(&units, 5), most);
        assert_eq!(names(&units, 7).concat(), ["attrs", "idna", "lxml", "numpy", "pandas", "pillow", "six"]);
        assert!(names(&[], 9).is_empty());
    }

    /// The sizes of the benchmark's largest set, from its largest package on; the rest of it is smaller.
    #[test]
    fn a_change_sends_less_than_a_sixth_of_what_one_layer_of_the_rest_would() {
        // In 100 kB.
        let mut sizes = vec![549, 534, 352, 350, 333, 193, 168, 163, 122, 101, 95, 92, 80, 79, 74, 71, 57];
        sizes.extend([52, 47, 47, 43, 32, 26, 23, 23, 20, 19, 17, 16, 14, 14, 12]);
        sizes.extend([4; 30].into_iter().chain([1; 120]));
        let sizes = sizes.into_iter().map(|size| size * 100_000);
        let units: Vec<Unit> =
            (0..).zip(sizes).map(|(at, bytes)| Unit { name: format!("p{at}"), bytes }).collect();
        // Each as likely to change as the others, and all of its layer to be sent.
        let sent = |layers: Vec<Vec<usize>>| {
            let each = layers.iter().map(|layer| {
                layer.len() as u64 * layer.iter().map(|&position| units[position].bytes).sum::<u64>()
            });
            each.sum::<u64>() / units.len() as u64
        };
        let mut one: Vec<Vec<usize>> = (0..8).map(|at| vec![at]).collect();
        one.push((8..units.len()).collect());
        let (now, before) = (sent(group(&units, 9)), sent(one));
        assert!(now * 6 < before, "{now} of {before}");
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

    /// Sizes of every class: half a KiB to 64 MiB.
    fn sizes() -> impl Strategy<Value = u64> {
        (9_u32..26, 0_u64..1000).prop_map(|(log, more)| (1 << log) * (1000 + more) / 1000)
    }

    fn bounds_passed(bytes: u64) -> usize {
        BOUNDS.iter().filter(|&&bound| bytes >= bound).count()
    }

    proptest! {
        /// What is sent where only `before` was.
        #[test]
        fn one_package_changes_its_layer_and_at_most_one_more(
            sizes in proptest::collection::vec(sizes(), 1..60), budget in 1_usize..20, which in 0_usize..60, size in sizes(),
            what in 0..3,
        ) {
            let before: Vec<Unit> = (0..).zip(&sizes).map(|(at, &bytes)| Unit { name: format!("p{at}"), bytes }).collect();
            let mut after = before.clone();
            let mut most = 2;
            let which = which % before.len();
            match what {
                0 => after.push(Unit { name: "new".to_owned(), bytes: size }),
                1 => drop(after.remove(which)),
                _ => {
                    after[which].bytes = size;
                    // The layer that it left.
                    most += usize::from(bounds_passed(size) != bounds_passed(before[which].bytes));
                }
            }
            let (before, after) = (contents(&before, budget), contents(&after, budget));
            prop_assert!(after.len() <= budget);
            let new = after.difference(&before).count();
            prop_assert!(new <= most, "{new} of {most}: {before:?} {after:?}");
        }

        #[test]
        fn there_are_as_many_layers_as_may_be(sizes in proptest::collection::vec(sizes(), 0..60), budget in 1_usize..20) {
            let units: Vec<Unit> = (0..).zip(&sizes).map(|(at, &bytes)| Unit { name: format!("p{at}"), bytes }).collect();
            let layers = group(&units, budget);
            prop_assert_eq!(layers.len(), units.len().min(budget));
            // Nothing that is shared is larger than what is alone, but by less than a class.
            let alone = layers.iter().filter(|layer| layer.len() == 1).map(|layer| units[layer[0]].bytes);
            let shared = layers.iter().filter(|layer| layer.len() > 1).flatten().map(|&position| units[position].bytes);
            if let Some(largest) = shared.max() {
                let half = budget / 2;
                let larger = alone.filter(|&bytes| class(bytes) >= class(largest)).count();
                prop_assert!(larger >= half, "{larger} {half}");
            }
        }

        #[test]
        fn every_unit_is_in_one_layer_whatever_the_order(
            sizes in proptest::collection::vec(sizes(), 0..30), budget in 1_usize..20, turn in 0_usize..30,
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
