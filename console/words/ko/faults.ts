import type { faults as English } from '../en/faults.ts';

export const faults: typeof English = {
  faults: {
    UNAUTHENTICATED: {
      title: '로그아웃되어 아무것도 변경되지 않았습니다.',
      advice: '다시 로그인한 뒤 마지막 단계를 반복하세요.',
    },
    FORBIDDEN: {
      title: '이 계정에는 권한이 없습니다.',
      advice: '권한이 있는 담당자에게 요청하거나 관리자에게 역할을 요청하세요.',
    },
    BAD_USER_INPUT: {
      title: '입력한 내용에 오류가 있습니다.',
      advice: '아래에 표시된 항목을 고친 뒤 다시 시도하세요.',
    },
    NOT_FOUND: {
      title: '대상을 찾을 수 없습니다.',
      advice: '그사이에 삭제되었을 수 있습니다. 돌아가서 다시 확인하세요.',
    },
    CONFLICT: {
      title: '그사이에 변경되었거나 현재 상태에서는 할 수 없습니다.',
      advice: '현재 상태를 확인하고 다시 판단한 뒤 이 단계를 반복하세요.',
    },
    LIMIT_EXCEEDED: { title: '허용 한도를 넘었습니다.', advice: '크기를 줄인 뒤 다시 시도하세요.' },
    RATE_LIMITED: { title: '요청이 너무 많습니다.', advice: '아무것도 실행되지 않았습니다. 잠시 후 다시 시도하세요.' },
    PERSISTED_QUERY_NOT_FOUND: {
      title: '관제 서버가 이 요청을 알지 못합니다.',
      advice: '서버가 업데이트되었을 수 있습니다. 페이지를 새로 고치세요.',
    },
    PERSISTED_QUERY_REQUIRED: {
      title: '이 인증 정보로는 등록된 요청만 실행할 수 있습니다.',
      advice: '본인 계정으로 로그인하세요.',
    },
    SERVICE_UNAVAILABLE: {
      title: '관제 서버의 일부가 응답하지 않습니다.',
      advice: '다시 시도해도 안전합니다. 차량은 현재 상태를 유지합니다.',
    },
    INTERNAL_SERVER_ERROR: {
      title: '관제 서버에서 오류가 발생했습니다.',
      advice: '한 번 더 시도하고, 계속되면 요청 번호를 서버 담당자에게 전달하세요.',
    },
    UNREACHABLE: {
      title: '관제 서버에 연결할 수 없습니다.',
      advice:
        '네트워크를 확인한 뒤 다시 시도하세요. 방금 보낸 변경은 이미 적용되었을 수 있습니다. 차량은 현재 상태를 유지합니다.',
    },
  },
  faultRetryAfter: (seconds) => `${seconds}초 후에 다시 시도하세요.`,
  faultRequest: (id) => `요청 번호 ${id}`,
};
