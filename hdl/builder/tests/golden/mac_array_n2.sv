// Multiply-accumulate cell: int8 weight, int16 activation
module mac_cell (
    input  logic               clk,
    // Take the weight in this cycle
    input  logic               load,
    input  logic signed [7:0]  weight,
    input  logic signed [15:0] activation,
    input  logic signed [31:0] sum,
    output logic signed [7:0]  weight_out,
    output logic signed [15:0] activation_out,
    output logic signed [31:0] sum_out
);
  logic signed [7:0] weight_reg;
  logic signed [15:0] activation_reg;
  logic signed [7:0] multiplier_a;
  logic signed [15:0] multiplier_b;
  logic signed [23:0] multiplier_product;
  logic signed [31:0] sum_reg;

  assign weight_out = weight_reg;
  assign activation_out = activation_reg;
  assign sum_out = sum_reg;

  always @(posedge clk) begin
    if (load) begin
      weight_reg <= weight;
    end
  end
  always @(posedge clk) begin
    activation_reg <= activation;
    multiplier_a <= weight_reg;
    multiplier_b <= activation;
    multiplier_product <= multiplier_a * multiplier_b;
    sum_reg <= {{8{multiplier_product[23]}}, multiplier_product} + sum;
  end
endmodule

module mac_array_n2 (
    input  logic               clk,
    input  logic               load,
    input  logic signed [7:0]  weights_0,
    input  logic signed [7:0]  weights_1,
    input  logic signed [15:0] activations_0,
    input  logic signed [15:0] activations_1,
    output logic signed [31:0] sums_0,
    output logic signed [31:0] sums_1
);
  logic signed [7:0] cell_0_0_weight_out;
  logic signed [15:0] cell_0_0_activation_out;
  logic signed [31:0] cell_0_0_sum_out;
  logic signed [7:0] cell_0_1_weight_out;
  logic signed [15:0] cell_0_1_activation_out;
  logic signed [31:0] cell_0_1_sum_out;
  logic signed [7:0] cell_1_0_weight_out;
  logic signed [15:0] cell_1_0_activation_out;
  logic signed [31:0] cell_1_0_sum_out;
  logic signed [7:0] cell_1_1_weight_out;
  logic signed [15:0] cell_1_1_activation_out;
  logic signed [31:0] cell_1_1_sum_out;

  assign sums_0 = cell_1_0_sum_out;
  assign sums_1 = cell_1_1_sum_out;

  mac_cell cell_0_0 (
    .clk(clk),
    .load(load),
    .weight(weights_0),
    .activation(activations_0),
    .sum(32'sd0),
    .weight_out(cell_0_0_weight_out),
    .activation_out(cell_0_0_activation_out),
    .sum_out(cell_0_0_sum_out)
  );
  mac_cell cell_0_1 (
    .clk(clk),
    .load(load),
    .weight(weights_1),
    .activation(cell_0_0_activation_out),
    .sum(32'sd0),
    .weight_out(cell_0_1_weight_out),
    .activation_out(cell_0_1_activation_out),
    .sum_out(cell_0_1_sum_out)
  );
  mac_cell cell_1_0 (
    .clk(clk),
    .load(load),
    .weight(cell_0_0_weight_out),
    .activation(activations_1),
    .sum(cell_0_0_sum_out),
    .weight_out(cell_1_0_weight_out),
    .activation_out(cell_1_0_activation_out),
    .sum_out(cell_1_0_sum_out)
  );
  mac_cell cell_1_1 (
    .clk(clk),
    .load(load),
    .weight(cell_0_1_weight_out),
    .activation(cell_1_0_activation_out),
    .sum(cell_0_1_sum_out),
    .weight_out(cell_1_1_weight_out),
    .activation_out(cell_1_1_activation_out),
    .sum_out(cell_1_1_sum_out)
  );

  // Bits that this module does not need
  wire unused = &{1'b0, cell_0_1_activation_out, cell_1_0_weight_out, cell_1_1_weight_out, cell_1_1_activation_out};
endmodule
