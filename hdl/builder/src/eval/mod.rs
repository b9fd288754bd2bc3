//! stub
use crate::design::Design;
/// stub
pub struct Simulator;
impl Simulator { /// stub
 pub fn new(_: &Design) -> Self { Simulator } }
