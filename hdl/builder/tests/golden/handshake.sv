module handshake (
    input  logic       clk,
    input  logic       rst,
    input  logic       start,
    input  logic       acknowledge,
    output logic       request,
    // Cycles that the last request took
    output logic [7:0] elapsed,
    output logic       timeout
);
  // States of Phase
  localparam [1:0] PHASE_IDLE = 2'd0;
  localparam [1:0] PHASE_REQUEST = 2'd1;
  localparam [1:0] PHASE_WAIT_RELEASE = 2'd2;
  // PHASE_RESERVED = 2'd3: not used here
  logic [1:0] phase;
  // Cycles in this request
  logic [7:0] count;

  wire expired = &count;

  assign request = phase == PHASE_REQUEST;
  assign elapsed = count;
  always_comb begin
    timeout = 1'b0;
    case (phase)
      PHASE_REQUEST: begin
        if (!acknowledge) begin
          if (expired) begin
            timeout = 1'b1;
          end
        end
      end
      default: ;
    endcase
  end

  always @(posedge clk) begin
    if (rst) begin
      phase <= PHASE_IDLE;
      count <= 8'd0;
    end else begin
      case (phase)
        PHASE_IDLE: begin
          if (start) begin
            count <= 8'd0;
            phase <= PHASE_REQUEST;
          end
        end
        PHASE_REQUEST: begin
          count <= count + 8'd1;
          if (acknowledge) begin
            phase <= PHASE_WAIT_RELEASE;
          end else if (expired) begin
            phase <= PHASE_IDLE;
          end
        end
        default: begin
          if (!acknowledge) begin
            phase <= PHASE_IDLE;
          end
        end
      endcase
    end
  end
endmodule
