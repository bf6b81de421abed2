"""Names, labels and buckets typed from the references: GIE v1.5 and llm-d-router v0.10."""

QUEUE = "fairness_id priority inference_pool model_name target_model_name"
GIE = {
    "inference_objective_request_total": "model_name target_model_name priority",
    "inference_objective_request_error_total": "model_name target_model_name error_code",
    "inference_objective_request_duration_seconds": "model_name target_model_name",
    "inference_objective_request_sizes": "model_name target_model_name",
    "inference_objective_response_sizes": "model_name target_model_name",
    "inference_objective_input_tokens": "model_name target_model_name",
    "inference_objective_output_tokens": "model_name target_model_name",
    "inference_objective_prompt_cached_tokens": "model_name target_model_name",
    "inference_objective_running_requests": "model_name",
    "inference_objective_normalized_time_per_output_token_seconds": "model_name target_model_name",
    "inference_objective_request_ttft_seconds": "model_name target_model_name",
    "inference_pool_average_kv_cache_utilization": "name",
    "inference_pool_average_queue_size": "name",
    "inference_pool_average_running_requests": "name",
    "inference_pool_ready_pods": "name",
    "inference_pool_per_pod_queue_size": "name model_server_pod",
    "inference_extension_scheduler_e2e_duration_seconds": "",
    "inference_extension_scheduler_attempts_total": "status target_model_name pod_name namespace port",
    "inference_extension_info": "commit build_ref",
}
LLM_D_FLOW = "model_name target_model_name fairness_id priority"
LLM_D = {
    "llm_d_epp_request_total": LLM_D_FLOW,
    "llm_d_epp_request_error_total": f"{LLM_D_FLOW} error_code",
    "llm_d_epp_request_duration_seconds": LLM_D_FLOW,
    "llm_d_epp_request_size_bytes": LLM_D_FLOW,
    "llm_d_epp_response_size_bytes": LLM_D_FLOW,
    "llm_d_epp_request_input_tokens": LLM_D_FLOW,
    "llm_d_epp_request_output_tokens": LLM_D_FLOW,
    "llm_d_epp_request_cached_tokens": LLM_D_FLOW,
    "llm_d_epp_request_running": LLM_D_FLOW,
    "llm_d_epp_request_ntpot_seconds": LLM_D_FLOW,
    "llm_d_epp_request_ttft_seconds": f"{LLM_D_FLOW} streaming",
    "llm_d_epp_average_kv_cache_utilization": "name",
    "llm_d_epp_average_queue_size": "name",
    "llm_d_epp_average_running_requests": "name",
    "llm_d_epp_ready_endpoints": "name",
    "llm_d_epp_per_endpoint_queue_size": "name model_server_endpoint",
    "llm_d_epp_scheduler_e2e_duration_seconds": "",
    "llm_d_epp_scheduler_attempts_total": "status target_model_name endpoint_name namespace port",
    "llm_d_epp_info": "commit build_ref",
}
GIE_FLOW_CONTROL = {
    "inference_extension_flow_control_request_queue_duration_seconds": f"{QUEUE} outcome",
    "inference_extension_flow_control_dispatch_cycle_duration_seconds": "",
    "inference_extension_flow_control_queue_size": QUEUE,
    "inference_extension_flow_control_queue_bytes": QUEUE,
    "inference_extension_flow_control_pool_saturation": "inference_pool",
    "inference_extension_flow_control_requests_total": "outcome priority inference_pool",
    "inference_extension_flow_control_capacity_utilization_requests": "priority inference_pool",
    "inference_extension_flow_control_capacity_utilization_bytes": "priority inference_pool",
    "inference_extension_flow_control_global_capacity_utilization_requests": "inference_pool",
    "inference_extension_flow_control_global_capacity_utilization_bytes": "inference_pool",
    "inference_extension_flow_control_revocations_issued_total": "inference_pool",
    "inference_extension_program_aware_attained_service_tokens": "program_id",
    "inference_extension_program_aware_jains_fairness_index": "",
}
LLM_D_FLOW_CONTROL = {
    "llm_d_epp_flow_control_request_queue_duration_seconds": f"{QUEUE} outcome",
    "llm_d_epp_flow_control_dispatch_cycle_duration_seconds": "",
    "llm_d_epp_flow_control_queue_size": QUEUE,
    "llm_d_epp_flow_control_queue_bytes": QUEUE,
    "llm_d_epp_flow_control_pool_saturation": "inference_pool stage",
    "llm_d_epp_flow_control_requests_total": "outcome priority inference_pool",
    "llm_d_epp_flow_control_capacity_utilization_requests": "priority inference_pool",
    "llm_d_epp_flow_control_capacity_utilization_bytes": "priority inference_pool",
    "llm_d_epp_flow_control_global_capacity_utilization_requests": "inference_pool",
    "llm_d_epp_flow_control_global_capacity_utilization_bytes": "inference_pool",
    "llm_d_epp_flow_control_revocations_issued_total": "inference_pool",
    "llm_d_epp_program_aware_attained_service_tokens": "program_id",
    "llm_d_epp_program_aware_jains_fairness_index": "",
}
LATENCY = (
    "0.005 0.025 0.05 0.1 0.2 0.4 0.6 0.8 1 1.25 1.5 2 3 4 5 6 8 10 15 20 30 45 60 120 180 240 300 360 480 600 900 "
    "1200 1800 2700 3600"
)
TOKENS = "1 8 16 32 64 128 256 512 1024 2048 4096 8192"
PROMPT = f"{TOKENS} 16384 32778 65536 131072 262144 524288 1048576"
SIZES = (
    "64 128 256 512 1024 2048 4096 8192 16384 32768 65536 131072 262144 524288 1048576 2097152 4194304 8388608 "
    "16777216 33554432 67108864 134217728 268435456 536870912 1073741824"
)
PER_TOKEN = "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10"
BUCKETS = {
    "inference_objective_request_duration_seconds": LATENCY,
    "inference_objective_request_ttft_seconds": LATENCY,
    "inference_objective_request_sizes": SIZES,
    "inference_objective_response_sizes": f"{TOKENS} 16384 32778 65536",
    "inference_objective_input_tokens": PROMPT,
    "inference_objective_prompt_cached_tokens": PROMPT,
    "inference_objective_output_tokens": TOKENS,
    "inference_objective_normalized_time_per_output_token_seconds": PER_TOKEN,
    "inference_extension_scheduler_e2e_duration_seconds": "0.0001 0.0002 0.0005 0.001 0.002 0.005 0.01 0.02 0.05 0.1",
}
