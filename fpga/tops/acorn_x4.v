// Top of SQRL Acorn, NiteFury and LiteFury: the card behind AMD's block for PCIe Gen2 x4 of the 7-series.
// The block (module pcie_7x_0) is made by the build script; its streams are 128 bits wide at 125 MHz.
`default_nettype none

module rmt_board #(
    parameter PLL_INPUT = 1,     // of the card's clock, see acorn_clocks.v
    parameter PLL_FEEDBACK = 8,
`ifdef ARRAY_CLOCK
    parameter PLL_ARRAY = 1,
`endif
    parameter PLL_OUTPUT = 25
) (
    input  wire       pcie_clock_p,   // 100 MHz from the slot
    input  wire       pcie_clock_n,
    input  wire       pcie_reset_n,
    output wire       pcie_clkreq_n,
    input  wire [3:0] pcie_rx_p,
    input  wire [3:0] pcie_rx_n,
    output wire [3:0] pcie_tx_p,
    output wire [3:0] pcie_tx_n,
    output wire [3:0] lights          // 0 the card's clock, 1 link, 2 bus mastering, 3 reset; on while low
);
  wire reference;
  wire reset_n;
  IBUFDS_GTE2 reference_buffer (.O(reference), .ODIV2(), .CEB(1'b0), .I(pcie_clock_p), .IB(pcie_clock_n));
  IBUF reset_buffer (.O(reset_n), .I(pcie_reset_n));
  assign pcie_clkreq_n = 1'b0;

  wire         link_clk;
  wire         block_reset;
  wire         link_up;
  wire         rx_valid;
  wire         rx_ready;
  wire [127:0] rx_data;
  wire [21:0]  rx_user;
  wire         tx_valid;
  wire         tx_ready;
  wire [127:0] tx_data;
  wire [15:0]  tx_keep;
  wire         tx_last;
  wire [15:0]  command;
  wire [15:0]  device_control;
  wire [7:0]   bus;
  wire [4:0]   device;
  wire [2:0]   function_number;
  wire         msix_enable;
  wire         msix_mask;
  wire         function_reset;
  wire         turn_off;

  pcie_7x_0 block (
      .sys_clk(reference),
      .sys_rst_n(reset_n),
      .pci_exp_rxp(pcie_rx_p),
      .pci_exp_rxn(pcie_rx_n),
      .pci_exp_txp(pcie_tx_p),
      .pci_exp_txn(pcie_tx_n),
      .user_clk_out(link_clk),
      .user_reset_out(block_reset),
      .user_lnk_up(link_up),
      .m_axis_rx_tvalid(rx_valid),
      .m_axis_rx_tready(rx_ready),
      .m_axis_rx_tdata(rx_data),
      .m_axis_rx_tuser(rx_user),
      .s_axis_tx_tvalid(tx_valid),
      .s_axis_tx_tready(tx_ready),
      .s_axis_tx_tdata(tx_data),
      .s_axis_tx_tkeep(tx_keep),
      .s_axis_tx_tlast(tx_last),
      .s_axis_tx_tuser(4'b0000),
      .tx_cfg_gnt(1'b1),
      .rx_np_ok(1'b1),
      .rx_np_req(1'b1),
      .cfg_trn_pending(1'b0),
      .cfg_pm_halt_aspm_l0s(1'b0),
      .cfg_pm_halt_aspm_l1(1'b0),
      .cfg_pm_force_state_en(1'b0),
      .cfg_pm_force_state(2'b00),
      .cfg_pm_wake(1'b0),
      .cfg_dsn(64'd0),
      .cfg_turnoff_ok(turn_off),
      .cfg_to_turnoff(turn_off),
      .cfg_command(command),
      .cfg_dcommand(device_control),
      .cfg_bus_number(bus),
      .cfg_device_number(device),
      .cfg_function_number(function_number),
      .cfg_received_func_lvl_rst(function_reset),
      .cfg_interrupt(1'b0),
      .cfg_interrupt_assert(1'b0),
      .cfg_interrupt_di(8'd0),
      .cfg_interrupt_stat(1'b0),
      .cfg_pciecap_interrupt_msgnum(5'd0),
      .cfg_interrupt_msixenable(msix_enable),
      .cfg_interrupt_msixfm(msix_mask)
  );

  wire clk;
`ifdef ARRAY_CLOCK
  wire array_clk;
`endif
  wire rst;
  wire link_rst;

  acorn_clocks #(
      .PLL_INPUT(PLL_INPUT),
      .PLL_FEEDBACK(PLL_FEEDBACK),
`ifdef ARRAY_CLOCK
      .PLL_ARRAY(PLL_ARRAY),
`endif
      .PLL_OUTPUT(PLL_OUTPUT)
  ) clocks (
      .link_clk(link_clk),
      .block_reset(block_reset),
      .clk(clk),
`ifdef ARRAY_CLOCK
      .array_clk(array_clk),
`endif
      .link_rst(link_rst),
      .rst(rst)
  );

  wire         packet_valid;
  wire         packet_ready;
  wire [127:0] packet_data;
  wire [15:0]  packet_keep;
  wire         packet_last;
  wire [6:0]   packet_bar_hit;

  tlp_realign realign (
      .clk(link_clk),
      .rst(link_rst),
      .raw_valid(rx_valid),
      .raw_ready(rx_ready),
      .raw_payload_data(rx_data),
      .raw_payload_user(rx_user),
      .rx_valid(packet_valid),
      .rx_ready(packet_ready),
      .rx_payload_data(packet_data),
      .rx_payload_keep(packet_keep),
      .rx_payload_last(packet_last),
      .rx_payload_bar_hit(packet_bar_hit)
  );

  rmt_pcie_card card (
      .clk(clk),
`ifdef ARRAY_CLOCK
      .array_clk(array_clk),
`endif
      .rst(rst),
      .link_clk(link_clk),
      .link_rst(link_rst),
      .rx_valid(packet_valid),
      .rx_ready(packet_ready),
      .rx_payload_data(packet_data),
      .rx_payload_keep(packet_keep),
      .rx_payload_last(packet_last),
      .rx_payload_bar_hit(packet_bar_hit),
      .tx_valid(tx_valid),
      .tx_ready(tx_ready),
      .tx_payload_data(tx_data),
      .tx_payload_keep(tx_keep),
      .tx_payload_last(tx_last),
      .sideband_completer_id({bus, device, function_number}),
      .sideband_max_payload(device_control[7:5]),
      .sideband_max_read_request(device_control[14:12]),
      .sideband_bus_master(command[2]),
      .sideband_msix_enable(msix_enable),
      .sideband_msix_mask(msix_mask),
      .sideband_link_up(link_up),
      .sideband_function_reset(function_reset)
  );

  reg [25:0] cycles = 26'd0;
  always @(posedge clk) cycles <= cycles + 26'd1;
  assign lights = ~{rst, command[2], link_up, cycles[25]};
endmodule
