// Top of boards with an ECP5: the PLL that makes the card's clock, its reset, the card behind a serial line.
// The flow sets the parameters from the board table (fpga/src/boards.rs) and the clock asked for.
`default_nettype none

module rmt_board #(
    parameter PLL_INPUT = 1,      // dividers, see fpga/src/pll.rs
    parameter PLL_FEEDBACK = 1,
    parameter PLL_OUTPUT = 6,
`ifdef ARRAY_CLOCK
    parameter PLL_ARRAY = 1,      // of the array's clock, whose edges are those of the card's and some between
`endif
    parameter LIGHTS_LOW = 1      // 1: a light is on while its pin is low
) (
    input  wire       clock_in,
    input  wire       serial_in,
    output wire       serial_out,
    output wire [3:0] lights      // 0 clock, 1 link, 2 traffic, 3 fault
);
  wire clk;
`ifdef ARRAY_CLOCK
  wire array_clk;
`endif
  wire locked;

  (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *)
  EHXPLLL #(
      .PLLRST_ENA("DISABLED"),
      .INTFB_WAKE("DISABLED"),
      .STDBY_ENABLE("DISABLED"),
      .DPHASE_SOURCE("DISABLED"),
      .OUTDIVIDER_MUXA("DIVA"),
      .CLKI_DIV(PLL_INPUT),
      .CLKFB_DIV(PLL_FEEDBACK),
      .FEEDBK_PATH("CLKOP"),
`ifdef ARRAY_CLOCK
      .CLKOS_ENABLE("ENABLED"),
      .CLKOS_DIV(PLL_ARRAY),
      .CLKOS_CPHASE(PLL_ARRAY - 1),
      .CLKOS_FPHASE(0),
`endif
      .CLKOP_ENABLE("ENABLED"),
      .CLKOP_DIV(PLL_OUTPUT),
      .CLKOP_CPHASE(PLL_OUTPUT - 1),
      .CLKOP_FPHASE(0)
  ) pll (
      .CLKI(clock_in),
      .CLKFB(clk),
      .CLKOP(clk),
`ifdef ARRAY_CLOCK
      .CLKOS(array_clk),
`endif
      .LOCK(locked),
      .RST(1'b0),
      .STDBY(1'b0),
      .PHASESEL0(1'b0),
      .PHASESEL1(1'b0),
      .PHASEDIR(1'b0),
      .PHASESTEP(1'b0),
      .PHASELOADREG(1'b0),
      .PLLWAKESYNC(1'b0),
      .ENCLKOP(1'b0)
  );

  // The reset ends some cycles after the clock is steady; registers begin at their first value, so it holds before.
  reg [7:0] reset_line = 8'hff;
  always @(posedge clk) reset_line <= {reset_line[6:0], !locked};

  wire [3:0] on;
  assign lights = (LIGHTS_LOW != 0) ? ~on : on;

  rmt_serial_card card (
      .clk(clk),
`ifdef ARRAY_CLOCK
      .array_clk(array_clk),
`endif
      .rst(reset_line[7]),
      .serial_in(serial_in),
      .serial_out(serial_out),
      .light_clock(on[0]),
      .light_link(on[1]),
      .light_traffic(on[2]),
      .light_fault(on[3])
  );
endmodule
