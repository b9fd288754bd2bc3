// Top of boards with a 7-series FPGA and no PCIe: the PLL that makes the card's clock, its reset, the card behind a
// serial line. The flow sets the parameters from the board table (fpga/src/boards.rs) and the clock asked for.
`default_nettype none

module rmt_board #(
    parameter PLL_INPUT = 1,      // dividers, see fpga/src/pll.rs
    parameter PLL_FEEDBACK = 5,
    parameter PLL_OUTPUT = 50,
`ifdef ARRAY_CLOCK
    parameter PLL_ARRAY = 1,      // of the array's clock, whose edges are those of the card's and some between
`endif
    parameter LIGHTS_LOW = 1      // 1: a light is on while its pin is low
) (
    input  wire       clock_in_p,  // 200 MHz
    input  wire       clock_in_n,
    input  wire       serial_in,
    output wire       serial_out,
    output wire [3:0] lights      // 0 clock, 1 link, 2 traffic, 3 fault
);
  wire clock_in;
  wire feedback;
  wire pll_clock;
  wire clk;
`ifdef ARRAY_CLOCK
  wire pll_array_clock;
  wire array_clk;
`endif
  wire locked;

  IBUFDS clock_buffer (
      .I(clock_in_p),
      .IB(clock_in_n),
      .O(clock_in)
  );

  // The output's phase against the pin is of no use here, so the feedback stays within the PLL.
  PLLE2_ADV #(
      .CLKIN1_PERIOD(5.0),
      .DIVCLK_DIVIDE(PLL_INPUT),
      .CLKFBOUT_MULT(PLL_FEEDBACK),
      .CLKOUT0_DIVIDE(PLL_OUTPUT),
`ifdef ARRAY_CLOCK
      .CLKOUT1_DIVIDE(PLL_ARRAY),
`endif
      .COMPENSATION("INTERNAL")
  ) pll (
      .CLKIN1(clock_in),
      .CLKIN2(1'b0),
      .CLKINSEL(1'b1),
      .CLKFBIN(feedback),
      .CLKFBOUT(feedback),
      .CLKOUT0(pll_clock),
`ifdef ARRAY_CLOCK
      .CLKOUT1(pll_array_clock),
`endif
      .LOCKED(locked),
      .RST(1'b0),
      .PWRDWN(1'b0),
      .DADDR(7'd0),
      .DCLK(1'b0),
      .DEN(1'b0),
      .DI(16'd0),
      .DWE(1'b0)
  );

  BUFG card_clock (
      .I(pll_clock),
      .O(clk)
  );

`ifdef ARRAY_CLOCK
  BUFG array_clock (
      .I(pll_array_clock),
      .O(array_clk)
  );

`endif
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
