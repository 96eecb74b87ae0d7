import type { operations as English } from '../en/operations.ts';

export const operations: typeof English = {
  operationsLead: 'API 키를 쓰는 프로그램은 등록된 요청만 실행할 수 있습니다. 한 ID의 내용은 바뀌지 않습니다.',
  newOperations: '요청 등록',
  toOperations: '등록된 요청 전체',
  searchOperations: '이름, ID 또는 내용으로 찾기',
  operationsFound: (_count, text) => `등록된 요청 ${text}개`,
  noOperationFound: '조건에 맞는 요청이 없습니다.',
  operationTypes: { QUERY: '조회', MUTATION: '변경', SUBSCRIPTION: '실시간 구독' },
  operationId: 'ID',
  operationHash: 'SHA-256',
  registeredAt: '등록',
  whoMayRun: '실행할 수 있는 키',
  everyKey: '역할이 허용하는 모든 키',
  keysOnly: '다음 키만:',
  removeOperation: '삭제',
  removeThisOperation: (name) => `${name} 삭제`,
  removeLead:
    '이 ID를 보내는 프로그램은 몇 초 안에 거부됩니다. 처리 중인 요청과 열려 있는 구독은 끝까지 계속됩니다. 이것도 끝내려면 키를 폐기하세요.',
  removeAgain: '같은 내용은 다시 등록할 수 있으며, 실행할 키는 그때 다시 선택합니다.',
  manifest: '요청 또는 매니페스트',
  manifestHint:
    '이름이 있는 GraphQL 요청 하나 또는 Apollo, Relay, GraphQL Code Generator가 만든 JSON 매니페스트를 붙여 넣으세요.',
  manifestMissing: '요청이나 매니페스트를 붙여 넣으세요.',
  notJson: 'JSON처럼 시작하지만 JSON으로 읽을 수 없습니다.',
  noName: '요청에 이름이 없습니다. “query Fleet”처럼 종류 뒤에 이름을 쓰세요.',
  operationIdHint: '요청 하나를 등록할 때 프로그램이 보낼 ID입니다. 비워 두면 요청의 이름을 씁니다.',
  bindKeys: '실행할 수 있는 키',
  bindKeysHint:
    '선택하지 않으면 역할이 허용하는 모든 키가 실행할 수 있습니다. 이미 등록된 요청은 기존 키를 유지합니다.',
  noKeysYet: '유효한 키가 아직 없습니다.',
  register: '등록',
  registered: (_count, text) => `요청 ${text}개를 등록했습니다. 1초 안에 실행할 수 있습니다.`,
};
