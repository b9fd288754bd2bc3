// The card's clock and both resets of a board whose PCIe block makes a clock. The flow sets the dividers from the
// clock asked for (fpga/src/pll.rs).
`default_nettype none

module acorn_clocks #(
    parameter PLL_INPUT = 1,
    parameter PLL_FEEDBACK = 8,
`ifdef ARRAY_CLOCK
    parameter PLL_ARRAY = 1,  // of the array's clock
`endif
    parameter PLL_OUTPUT = 25
) (
    input  wire link_clk,     // 125 MHz, from the block; steady once block_reset ends
    input  wire block_reset,  // high while the link is down
    output wire clk,          // the card's
`ifdef ARRAY_CLOCK
    output wire array_clk,    // its edges are those of clk and some between
`endif
    output wire link_rst,     // until 2 us after the PLL has locked
    output wire rst           // the same, three cycles of the card later
);
  wire feedback;
  wire pll_clock;
  wire locked;
`ifdef ARRAY_CLOCK
  wire pll_array_clock;
`endif

  PLLE2_ADV #(
      .CLKIN1_PERIOD(8.0),
      .DIVCLK_DIVIDE(PLL_INPUT),
      .CLKFBOUT_MULT(PLL_FEEDBACK),
      .CLKOUT0_DIVIDE(PLL_OUTPUT),
`ifdef ARRAY_CLOCK
      .CLKOUT1_DIVIDE(PLL_ARRAY),
`endif
      .COMPENSATION("INTERNAL")
  ) pll (
      .CLKIN1(link_clk),
      .CLKIN2(1'b0),
      .CLKINSEL(1'b1),
      .CLKFBIN(feedback),
      .CLKFBOUT(feedback),
      .CLKOUT0(pll_clock),
`ifdef ARRAY_CLOCK
      .CLKOUT1(pll_array_clock),
`endif
      .LOCKED(locked),
      .RST(block_reset),
      .PWRDWN(1'b0),
      .DADDR(7'd0),
      .DCLK(1'b0),
      .DEN(1'b0),
      .DI(16'd0),
      .DWE(1'b0)
  );

`ifdef ARRAY_CLOCK
  BUFG array_clock (
      .I(pll_array_clock),
      .O(array_clk)
  );

`endif
  BUFG card_clock (
      .I(pll_clock),
      .O(clk)
  );

  (* ASYNC_REG = "TRUE" *) reg [1:0] locked_seen = 2'b00;
  reg [8:0] held = 9'd0;
  always @(posedge link_clk) begin
    locked_seen <= {locked_seen[0], locked};
    if (block_reset || !locked_seen[1]) held <= 9'd0;
    else if (!held[8]) held <= held + 9'd1;
  end
  assign link_rst = !held[8];

  (* ASYNC_REG = "TRUE" *) reg [2:0] reset_seen = 3'b111;
  always @(posedge clk) reset_seen <= {reset_seen[1:0], link_rst};
  assign rst = reset_seen[2];
endmodule
