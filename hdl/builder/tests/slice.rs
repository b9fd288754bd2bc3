#![allow(missing_docs)]
use rtl_builder::prelude::*;

#[derive(Clone, Ports)]
struct MacIo {
    /// Clears the sum
    clear: Input<Bool>,
    a: Input<SInt>,
    b: Input<SInt>,
    sum: Output<SInt>,
}
struct Mac { width: u32 }
impl Component for Mac {
    type Io = MacIo;
    fn name(&self) -> String { format!("mac_w{}", self.width) }
    fn doc(&self) -> String { "Multiply-accumulate cell".into() }
    fn io(&self) -> MacIo {
        MacIo { clear: input(boolean()), a: input(sint(self.width)), b: input(sint(self.width)), sum: output(sint(32)) }
    }
    fn build(&self, io: MacIo) {
        let acc = reg("acc", sint(32), 0);
        let product = (io.a * io.b).named("product");
        when(io.clear, || acc.next(0)).otherwise(|| acc.next((acc + product).trunc(32)));
        io.sum.set(acc);
    }
}
#[test]
fn mac() {
    let design = elaborate(Mac { width: 8 }).unwrap();
    println!("{}", design.verilog());
    let mut sim = design.simulator();
    sim.poke_signed("a", -3);
    sim.poke_signed("b", 5);
    sim.step();
    assert_eq!(sim.peek_signed("sum"), -15);
    sim.step();
    assert_eq!(sim.peek_signed("sum"), -30);
}
